"""Rekor's write calls at the edge: their form, and their limits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from service.domain.public_keys import PublicKey
from service.operations.log import TakeEntries
from service.policy.trust import ForeignKey, TrustPolicy
from service.store import Store
from service.web import create_app
from tests.support.logs import make_log, make_log_key, new_signer
from tests.support.operations import World
from tests.support.rekor import Client, new_client

MESSAGE = b"an artifact"


@pytest.fixture
def client() -> Client:
    return new_client()


@pytest.fixture
def web(
    world: World, sqlite_store_url: str, client: Client, tmp_path: Path
) -> Iterator[FlaskClient]:
    store = Store(sqlite_store_url)
    signer = new_signer()
    make_log_key(store, signer)
    take = TakeEntries(
        make_log(store, signer, tmp_path / "outside"),
        store.log_reader,
        store.keys,
        lambda: TrustPolicy((ForeignKey("others", PublicKey.parse(client.spki)),)),
        store.findings,
        store.audit,
    )
    yield create_app(replace(world.operations, take_entries=take), version="1").test_client()
    store.close()


def test_v1_answers_as_rekor_does_with_the_etag_that_cosign_needs(
    web: FlaskClient, client: Client
) -> None:
    answer = web.post("/api/v1/log/entries", json=client.hashedrekord(MESSAGE))
    assert answer.status_code == 201
    ((uuid, entry),) = answer.json.items()
    assert answer.headers["ETag"] == uuid
    assert answer.headers["Location"] == f"/api/v1/log/entries/{uuid}"
    assert entry["verification"]["signedEntryTimestamp"]
    assert entry["verification"]["inclusionProof"]["treeSize"] == 1
    first, second = entry["verification"]["inclusionProof"]["checkpoint"].split("\n")[:2]
    assert (first.startswith("log.example.test - "), second) == (True, "1")


def test_v2_answers_with_the_entry_of_a_bundle(web: FlaskClient, client: Client) -> None:
    answer = web.post("/api/v2/log/entries", json=client.v2(MESSAGE))
    assert answer.status_code == 201
    assert answer.json["kindVersion"] == {"kind": "hashedrekord", "version": "0.0.2"}
    assert answer.json["inclusionProof"]["checkpoint"]["envelope"].startswith("log.example.test\n")
    assert "integratedTime" not in answer.json


def test_what_is_not_taken_is_a_problem_with_its_reason(web: FlaskClient, client: Client) -> None:
    wrong = web.post("/api/v1/log/entries", json={"kind": "x"})
    assert (wrong.status_code, "entry" in wrong.json["errors"]) == (422, True)
    other = web.post("/api/v1/log/entries", json=new_client().hashedrekord(MESSAGE))
    assert (other.status_code, other.json["code"]) == (403, "forbidden")
    long = {**client.hashedrekord(MESSAGE), "spec": {"x": "y" * (1024 * 1024)}}
    assert web.post("/api/v1/log/entries", json=long).status_code == 413


def test_an_address_that_asks_too_often_waits(web: FlaskClient, client: Client) -> None:
    for _ in range(200):
        answer = web.post("/api/v1/log/entries", json={})
        if answer.status_code == 429:
            break
    assert answer.json["code"] == "rate-limited"
    assert int(answer.headers["Retry-After"]) >= 1
    elsewhere = {"REMOTE_ADDR": "192.0.2.7"}
    allowed = web.post("/api/v2/log/entries", json=client.v2(MESSAGE), environ_base=elsewhere)
    assert allowed.status_code == 201

"""Rekor's write calls at the edge: their form, and their limits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from service.domain.clock import SystemClock
from service.domain.public_keys import PublicKey
from service.domain.rates import RateLimit
from service.operations import RateLimits
from service.operations.log import TakeEntries
from service.policy.rates import RatePolicy
from service.policy.trust import ForeignKey, TrustPolicy
from service.store import Store
from service.web import create_app
from tests.support.logs import make_log, make_log_key, new_signer
from tests.support.memory import MemoryBuckets
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


def test_behind_a_proxy_the_address_counts_that_it_tells_and_no_other(world: World) -> None:
    proxies = (ip_network("10.0.0.0/24"),)
    policy = RatePolicy(addresses=RateLimit(per_minute=1, burst=1))
    limits = RateLimits(MemoryBuckets(), lambda: policy, SystemClock())
    operations = replace(world.operations, rates=limits)

    def status(peer: str, forwarded: str, *, app: Flask) -> int:
        answer = app.test_client().post(
            "/api/v1/log/entries",
            data=b"",
            headers={"X-Forwarded-For": forwarded},
            environ_base={"REMOTE_ADDR": peer},
        )
        return answer.status_code

    behind = create_app(operations, version="1", proxies=proxies)
    assert status("10.0.0.1", "198.51.100.1", app=behind) == 415  # let through, and of no use
    assert status("10.0.0.2", "198.51.100.1", app=behind) == 429
    assert status("10.0.0.1", "198.51.100.2", app=behind) == 415
    # A caller that makes up others stays who it is, whether it comes through the proxy or not.
    assert status("10.0.0.1", "203.0.113.1, 198.51.100.1", app=behind) == 429
    assert status("192.0.2.1", "203.0.113.1", app=behind) == 415
    assert status("192.0.2.1", "203.0.113.2", app=behind) == 429
    # Where no proxy is named, nobody's word counts.
    alone = create_app(operations, version="1")
    assert status("10.0.0.1", "203.0.113.3", app=alone) == 415
    assert status("10.0.0.1", "203.0.113.4", app=alone) == 429


REKOR_CLIENT = {"Accept": "application/json;q=1, application/yaml"}


def test_a_client_of_rekor_is_refused_in_the_form_that_it_can_read(
    web: FlaskClient, client: Client
) -> None:
    stranger = new_client().hashedrekord(MESSAGE)
    refused = web.post("/api/v1/log/entries", json=stranger, headers=REKOR_CLIENT)
    assert (refused.status_code, refused.mimetype) == (403, "application/json")
    assert refused.json["code"] == 403
    assert "the trust policy names no such key (forbidden)" in refused.json["message"]
    assert refused.json["type"] == "/problems/forbidden"
    too_long = web.post(
        "/api/v1/log/entries", json={"x": "y" * (1024 * 1024)}, headers=REKOR_CLIENT
    )
    assert (too_long.status_code, too_long.json["code"]) == (413, 413)
    taken = web.post("/api/v1/log/entries", json=client.hashedrekord(MESSAGE), headers=REKOR_CLIENT)
    assert (taken.status_code, list(taken.json)) == (201, [taken.headers["ETag"]])


@pytest.mark.parametrize(
    "accept", [None, "*/*", "application/json, */*", "application/problem+json, application/json"]
)
def test_whoever_takes_a_problem_document_gets_one(web: FlaskClient, accept: str | None) -> None:
    headers = {} if accept is None else {"Accept": accept}
    refused = web.post(
        "/api/v1/log/entries", json=new_client().hashedrekord(MESSAGE), headers=headers
    )
    assert (refused.mimetype, refused.json["code"]) == ("application/problem+json", "forbidden")
    other = web.post("/api/v2/log/entries", json={}, headers=REKOR_CLIENT)
    assert other.mimetype == "application/problem+json"

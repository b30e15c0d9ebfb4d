from __future__ import annotations

import base64
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from flask.testing import FlaskClient

from service.domain.digests import Digest
from service.domain.payloads import Encoding
from tests.support.operations import World
from tests.support.payloads import one_of_each

DIGEST = Digest("a" * 64)
PATH = "/v1/keys/release/payload-signatures"


def text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


@pytest.mark.parametrize("encoding", Encoding)
def test_a_payload_is_answered_with_what_its_envelope_needs(
    web: FlaskClient, builder: dict[str, str], encoding: Encoding
) -> None:
    body = {"encoding": encoding, "payload": text(one_of_each(DIGEST)[encoding])}
    answer = web.post(PATH, json=body, headers=builder)
    assert answer.status_code == 201, answer.json
    assert answer.json.keys() == {
        "id",
        "key",
        "key_version",
        "algorithm",
        "encoding",
        "digest",
        "signature",
        "certificate_chain",
        "created_at",
        "log",
    }
    assert (answer.json["encoding"], answer.json["digest"]) == (encoding, str(DIGEST))
    assert answer.json["certificate_chain"] == [text(b"leaf"), text(b"root")]
    value = base64.b64decode(answer.json["signature"])
    if encoding in (Encoding.NOTATION_JWS, Encoding.NOTATION_COSE):
        assert len(value) == 64
    else:
        assert decode_dss_signature(value)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        pytest.param({"payload": text(b"x" * 32)}, 422, "payload-not-signable", id="bytes"),
        pytest.param({"encoding": "raw"}, 422, "invalid-request", id="encoding"),
        pytest.param({"payload": "%"}, 422, "invalid-request", id="not-base64"),
        pytest.param({"payload": "YR=="}, 422, "invalid-request", id="spare-bits"),
        pytest.param({"payload": None}, 422, "invalid-request", id="null"),
        pytest.param({"digest": "sha256:" + "a" * 64}, 422, "invalid-request", id="more"),
    ],
)
def test_anything_else_is_refused_with_a_stable_code(
    web: FlaskClient, builder: dict[str, str], body: dict[str, Any], status: int, code: str
) -> None:
    good = {"encoding": "simplesigning", "payload": text(one_of_each(DIGEST)["simplesigning"])}
    assert web.post(PATH, json=good, headers=builder).status_code == 201
    answer = web.post(PATH, json={**good, **body}, headers=builder)
    assert (answer.status_code, answer.json["code"]) == (status, code)


def test_the_idempotency_key_belongs_to_the_body_and_to_the_key_that_signs(
    web: FlaskClient, world: World, builder: dict[str, str]
) -> None:
    body = {"encoding": "simplesigning", "payload": text(one_of_each(DIGEST)["simplesigning"])}
    headers = {**builder, "Idempotency-Key": "k"}
    assert web.post(PATH, json=body, headers=headers).status_code == 201
    other = "/v1/keys/nobody/payload-signatures"
    assert web.post(other, json=body, headers=headers).status_code == 404
    [(_, key, first), (_, _, second)] = world.operations.sign_payload.requests
    assert key == "k"
    assert first != second

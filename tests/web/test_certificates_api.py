from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_der_public_key
from flask.testing import FlaskClient

from service.domain.callers import Role
from service.domain.clock import SystemClock
from service.domain.keys import OWN_CA
from service.verification.chains import unverified_from_pem
from tests.support.chains import NOW, YEAR, ca, issue, leaf, pem_of
from tests.support.operations import World

CSR = "/v1/keys/release/versions/1/csr"
CHAIN = "/v1/keys/release/versions/1/certificate-chain"
SHOWN = "/v1/keys/release/certificate-chain"
SELF_SIGN = "/v1/keys/release/self-sign"
PKCS10 = "application/pkcs10"
PEM_CHAIN = "application/pem-certificate-chain"
SUBJECT = "CN=release 1,O=Example,ST=Bern,C=CH"
PLACE = {"country": "CH", "state": "Bern", "organization": "Example"}


@pytest.fixture
def custodian(world: World) -> dict[str, str]:
    return world.authorization(Role.CUSTODIAN)


@pytest.fixture
def chain(world: World) -> list[bytes]:
    """What a company's CA issues for the key, valid now."""
    public = load_der_public_key(world.catalog.keys["release"].versions[0].public_key)
    now = SystemClock().now().replace(microsecond=0)
    specs = [replace(leaf(), public=public), ca("intermediate", 40), ca("root", 41)]
    return issue([replace(spec, begin=now - YEAR, end=now + YEAR) for spec in specs])


@pytest.mark.parametrize(
    "subject",
    [
        SUBJECT,
        {
            "common_name": "release 1",
            "organization": "Example",
            "state": "Bern",
            "country": "CH",
        },
    ],
)
def test_a_request_is_made_for_a_subject_in_either_form(
    web: FlaskClient, custodian: dict[str, str], subject: object
) -> None:
    answer = web.post(CSR, json={"subject": subject}, headers=custodian)
    assert (answer.status_code, answer.json.keys()) == (200, {"csr"})
    request = x509.load_pem_x509_csr(answer.json["csr"].encode())
    assert request.is_signature_valid
    assert request.subject.rfc4514_string() == SUBJECT


def test_a_request_comes_as_der_where_that_is_asked_for(
    web: FlaskClient, custodian: dict[str, str]
) -> None:
    body = {"subject": SUBJECT}
    answer = web.post(CSR, json=body, headers={**custodian, "Accept": PKCS10})
    assert answer.content_type == PKCS10
    assert x509.load_der_x509_csr(answer.data).is_signature_valid
    for accept in ("*/*", f"{PKCS10};q=0.5, application/json"):
        answer = web.post(CSR, json=body, headers={**custodian, "Accept": accept})
        assert answer.content_type == "application/json"
    answer = web.post(CSR, json=body, headers={**custodian, "Accept": "image/png"})
    assert (answer.status_code, answer.json["code"]) == (406, "not-acceptable")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"subject": ""},
        {"subject": 1},
        {"subject": {}},
        {"subject": {"common_name": 1}},
        {"subject": {"name": "a"}},
        {"subject": {"CN": ["a"]}},
        {"subject": {"country": "CHE"}},
        {"subject": "DC=example"},
        {"subject": SUBJECT, "key_size": 1},
    ],
)
def test_a_request_for_nobody_is_refused_by_field(
    web: FlaskClient, custodian: dict[str, str], body: object
) -> None:
    answer = web.post(CSR, json=body, headers=custodian)
    assert (answer.status_code, answer.json["code"]) == (422, "invalid-request")
    assert answer.json["errors"]


@pytest.mark.parametrize("form", ["text", "list", "list of texts"])
def test_a_chain_is_imported_in_either_form_and_shown_to_anybody(
    web: FlaskClient, custodian: dict[str, str], chain: list[bytes], form: str
) -> None:
    certificates: Any = {
        "text": pem_of(chain),
        "list": [pem_of([der]) for der in chain],
        "list of texts": [pem_of(chain[:1]), pem_of(chain[1:])],
    }[form]
    answer = web.put(CHAIN, json={"certificates": certificates}, headers=custodian)
    assert answer.status_code == 200
    certificate = answer.json["certificate"]
    assert (certificate["origin"], certificate["subject"]) == ("imported", SUBJECT)
    assert len(certificate["thumbprints"]) == 3
    assert web.get("/v1/keys/release").json["versions"][0]["certificate"] == certificate
    for query in ("", "?version=1"):
        shown = web.get(SHOWN + query)
        assert (shown.status_code, shown.content_type) == (200, PEM_CHAIN)
        assert list(unverified_from_pem(shown.text)) == chain


@pytest.mark.parametrize(
    ("certificates", "reason"),
    [
        ("", "empty"),
        ([], "empty"),
        ("-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n", "malformed"),
        (pem_of(issue([leaf(end=NOW - YEAR / 2)])), "validity"),
    ],
)
def test_a_chain_that_cannot_be_used_tells_every_reason(
    web: FlaskClient, custodian: dict[str, str], certificates: object, reason: str
) -> None:
    answer = web.put(CHAIN, json={"certificates": certificates}, headers=custodian)
    assert (answer.status_code, answer.json["code"]) == (422, "certificate-chain-refused")
    assert any(said.startswith(f"{reason}: ") for said in answer.json["reasons"])
    assert web.get(SHOWN).status_code == 404


@pytest.mark.parametrize("certificates", [None, 1, [1], {"pem": ""}, ["x" * 2_000_000]])
def test_what_is_not_even_text_is_refused(
    web: FlaskClient, custodian: dict[str, str], certificates: object
) -> None:
    answer = web.put(CHAIN, json={"certificates": certificates}, headers=custodian)
    assert (answer.status_code, answer.json["code"]) == (422, "invalid-request")


def test_a_key_certifies_itself_by_our_own_ca_which_says_what_it_is(
    web: FlaskClient, custodian: dict[str, str]
) -> None:
    answer = web.post(SELF_SIGN, json={**PLACE, "days": 30}, headers=custodian)
    assert answer.status_code == 200
    certificate = answer.json["certificate"]
    assert certificate["origin"] == "own-ca"
    assert "self-made" in certificate["subject"]
    assert len(unverified_from_pem(web.get(SHOWN).text)) == 2
    [authority] = web.get("/v1/keys?purpose=ca").json["items"]
    assert (authority["name"], authority["purpose"]) == (OWN_CA, "ca")
    assert authority["versions"][0]["certificate"]["origin"] == "self-signed"
    lone = web.post(SELF_SIGN, json={"lone": True}, headers=custodian)
    assert lone.json["certificate"]["origin"] == "self-signed"
    assert len(unverified_from_pem(web.get(SHOWN).text)) == 1


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "invalid-request"),
        ({**PLACE, "country": "CHE"}, 422, "invalid-request"),
        ({**PLACE, "country": "1!"}, 422, "invalid-request"),
        ({**PLACE, "country": "ch"}, 422, "invalid-request"),
        ({**PLACE, "days": 0}, 422, "invalid-request"),
        ({**PLACE, "days": 4000}, 422, "invalid-request"),
        ({**PLACE, "days": "30"}, 422, "invalid-request"),
        ({**PLACE, "version": 0}, 422, "invalid-request"),
        ({**PLACE, "version": 2}, 404, "key-not-found"),
        ({**PLACE, "token": "none"}, 404, "token-not-found"),
        ({**PLACE, "lone": "yes"}, 422, "invalid-request"),
    ],
)
def test_a_self_signing_that_makes_no_sense_is_refused(
    web: FlaskClient, custodian: dict[str, str], body: object, status: int, code: str
) -> None:
    answer = web.post(SELF_SIGN, json=body, headers=custodian)
    assert (answer.status_code, answer.json["code"]) == (status, code)


def test_no_caller_makes_a_key_for_a_ca_or_takes_its_name(
    web: FlaskClient, world: World, custodian: dict[str, str]
) -> None:
    for body in ({"name": "mine", "purpose": "ca"}, {"name": OWN_CA, "purpose": "image"}):
        answer = web.post("/v1/keys", json=body, headers=custodian)
        assert (answer.status_code, answer.json["code"]) == (422, "invalid-request")
    body = {"uri": "pkcs11:token=a", "public_key": "x", "purpose": "ca"}
    assert web.post("/v1/keys/mine/adopt", json=body, headers=custodian).status_code == 422
    assert set(world.catalog.keys) == {"release"}


def test_the_key_set_shows_no_key_that_only_certifies(
    web: FlaskClient, custodian: dict[str, str]
) -> None:
    before = web.get("/.well-known/jwks.json").json
    assert web.post(SELF_SIGN, json=PLACE, headers=custodian).status_code == 200
    assert web.get("/.well-known/jwks.json").json == before
    assert [key["name"] for key in web.get("/v1/keys").json["items"]] == ["release"]
    assert [key["name"] for key in web.get("/v1/keys?purpose=ca").json["items"]] == [OWN_CA]
    assert web.get(f"/v1/keys/{OWN_CA}/public-key").status_code == 200


def test_a_key_without_a_certificate_says_how_to_get_one(web: FlaskClient) -> None:
    answer = web.get(SHOWN)
    assert (answer.status_code, answer.json["code"]) == (404, "certificate-not-found")
    assert web.get("/v1/keys/release").json["versions"][0]["certificate"] is None
    assert web.get("/v1/keys/none/certificate-chain").json["code"] == "key-not-found"
    assert web.get(f"{SHOWN}?version=7").json["code"] == "key-not-found"
    refused = web.get(SHOWN, headers={"Accept": "application/json"})
    assert refused.status_code == 406


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.CUSTODIAN])
def test_nobody_but_a_custodian_certifies(web: FlaskClient, world: World, role: Role) -> None:
    headers = world.authorization(role)
    answers = [
        web.post(CSR, json={"subject": SUBJECT}, headers=headers),
        web.put(CHAIN, json={"certificates": "x"}, headers=headers),
        web.post(SELF_SIGN, json=PLACE, headers=headers),
    ]
    assert [answer.status_code for answer in answers] == [403, 403, 403]
    assert world.catalog.keys["release"].versions[0].chain is None

"""The two envelopes of the Notary Project: read back, damaged, and held against other readers.

Whether notation itself takes them is what `make conformance` asks.
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from service.domain.digests import Descriptor, Digest
from service.domain.keys import Algorithm, Scheme
from service.formats.notation import cose, jws
from service.formats.notation.envelope import (
    SCHEMES,
    EnvelopeMalformedError,
    UnverifiedEnvelope,
    parse_payload,
    target_payload,
    to_der,
    to_raw,
)

IMAGE = Descriptor("application/vnd.oci.image.manifest.v1+json", Digest("c" * 64), 401)
PAYLOAD = target_payload(IMAGE, [("org.example.commit", "<1>")])
AT = datetime(2026, 11, 22, 7, 44, 0, 999_999, tzinfo=UTC)
LATER = AT + timedelta(days=90)
CHAIN = (b"leaf", b"root")
MEDIA = [pytest.param(jws, id="jws"), pytest.param(cose, id="cose")]


def to_sign(kind: ModuleType, **more: Any) -> bytes:
    make = jws.signing_input if kind is jws else cose.to_be_signed
    wanted = {"scheme": Scheme.ECDSA_P256_SHA256, "at": AT, **more}
    return make(PAYLOAD, **wanted)


def sealed(kind: ModuleType, **more: Any) -> bytes:
    content: bytes = kind.envelope(to_sign(kind, **more), b"s" * 64, CHAIN)
    return content


@pytest.mark.parametrize("kind", MEDIA)
@pytest.mark.parametrize("expiry", [None, LATER])
@pytest.mark.parametrize("scheme", SCHEMES.values())
def test_an_envelope_says_what_was_put_into_it(
    kind: ModuleType, expiry: datetime | None, scheme: Scheme
) -> None:
    message = to_sign(kind, scheme=scheme, expiry=expiry)
    read: UnverifiedEnvelope = kind.parse(
        kind.envelope(message, b"s" * 64, CHAIN, timestamp=b"token")
    )
    assert read == UnverifiedEnvelope(
        unverified_payload=PAYLOAD,
        unverified_signing_time=AT.replace(microsecond=0),
        unverified_expiry=None if expiry is None else expiry.replace(microsecond=0),
        unverified_chain=CHAIN,
        unverified_agent="sealwright",
        unverified_timestamp=b"token",
        scheme=scheme,
        message=message,
        signature=b"s" * 64,
    )
    assert kind.payload_of(message) == PAYLOAD
    assert parse_payload(PAYLOAD) == (IMAGE, (("org.example.commit", "<1>"),))


def test_the_protected_headers_stand_as_the_specification_shows_them() -> None:
    protected, _, _ = to_sign(jws, expiry=LATER).decode().partition(".")
    assert base64.urlsafe_b64decode(protected + "==") == (
        b'{"alg":"ES256","crit":["io.cncf.notary.signingScheme","io.cncf.notary.expiry"],'
        b'"cty":"application/vnd.cncf.notary.payload.v1+json",'
        b'"io.cncf.notary.expiry":"2027-02-20T07:44:00Z",'
        b'"io.cncf.notary.signingScheme":"notary.x509",'
        b'"io.cncf.notary.signingTime":"2026-11-22T07:44:00Z"}'
    )
    context, encoded, external, payload = cbor2.loads(to_sign(cose, expiry=LATER))
    assert (context, external, payload) == ("Signature1", b"", PAYLOAD)
    # Keys from the shortest encoding on, times as tag 1 over a whole number.
    assert encoded.startswith(bytes.fromhex("a6 01 26 02 82 78 1c"))
    assert bytes.fromhex("c1 1a") + int(LATER.timestamp()).to_bytes(4, "big") in encoded


def _protected(change: dict[str, Any]) -> bytes:
    """Return an envelope with other protected headers."""
    top = json.loads(sealed(jws))
    headers = json.loads(base64.urlsafe_b64decode(top["protected"] + "=="))
    headers = {k: v for k, v in {**headers, **change}.items() if v is not None}
    raw = base64.urlsafe_b64encode(json.dumps(headers).encode()).rstrip(b"=")
    return json.dumps({**top, "protected": raw.decode()}).encode()


def _top(**change: Any) -> bytes:
    top = {**json.loads(sealed(jws)), **change}
    return json.dumps(top).encode()


EXPIRY = "io.cncf.notary.expiry"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"[]", id="no-object"),
        pytest.param(b"{}", id="empty"),
        pytest.param(_top(payload="e30="), id="padding"),
        pytest.param(_top(signature="AB"), id="spare-bits"),
        pytest.param(_top(payload="e+0"), id="plain-base64"),
        pytest.param(_top(header={}), id="no-chain"),
        pytest.param(_top(header={"x5c": []}), id="empty-chain"),
        pytest.param(_top(header={"x5c": ["AAAA"] * 11}), id="endless-chain"),
        pytest.param(_top(header={"x5c": "AAAA"}), id="chain-as-text"),
        pytest.param(_protected({"alg": "none"}), id="alg-none"),
        pytest.param(_protected({"alg": "HS256"}), id="alg-symmetric"),
        pytest.param(_protected({"alg": ["ES256"]}), id="alg-list"),
        pytest.param(_protected({"crit": None}), id="no-crit"),
        pytest.param(_protected({"crit": []}), id="empty-crit"),
        pytest.param(_protected({"crit": ["x"]}), id="unknown-crit"),
        pytest.param(_protected({EXPIRY: "2027-02-20T07:44:00Z"}), id="expiry-not-critical"),
        pytest.param(_protected({"io.cncf.notary.signingTime": None}), id="no-time"),
        pytest.param(
            _protected({"io.cncf.notary.signingTime": "2026-11-22T07:44:00.5Z"}), id="fraction"
        ),
        pytest.param(
            _protected({"io.cncf.notary.signingTime": "2026-13-22T07:44:00Z"}), id="no-such-month"
        ),
        pytest.param(
            _protected({"io.cncf.notary.signingScheme": "notary.x509.signingAuthority"}),
            id="other-scheme",
        ),
        pytest.param(_protected({"cty": "text/plain"}), id="other-content"),
        pytest.param(_protected({"x": 1}), id="unknown-header"),
        pytest.param(b" " * (1024 * 1024) + b"{}", id="too-long"),
        pytest.param(b'{"payload":"","payload":""}', id="twice"),
    ],
)
def test_a_jws_that_is_not_exactly_one_is_refused(content: bytes) -> None:
    jws.parse(sealed(jws))
    jws.parse(_top())
    jws.parse(_protected({}))
    with pytest.raises(EnvelopeMalformedError):
        jws.parse(content)


def _cose(*, tag: int = 18, protected: dict[Any, Any] | None = None, **parts: Any) -> bytes:
    read = cbor2.loads(sealed(cose)).value
    headers = {**cbor2.loads(read[0]), **(protected or {})}
    kept = {key: value for key, value in headers.items() if value is not None}
    value = [
        cbor2.dumps(kept, canonical=True, timezone=UTC, datetime_as_timestamp=True),
        parts.get("unprotected", read[1]),
        parts.get("payload", read[2]),
        parts.get("signature", read[3]),
    ]
    return cbor2.dumps(cbor2.CBORTag(tag, value))


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(cbor2.dumps(cbor2.loads(sealed(cose)).value), id="no-tag"),
        pytest.param(_cose(tag=17), id="another-tag"),
        pytest.param(_cose() + b"\0", id="bytes-behind"),
        pytest.param(_cose(protected={1: -8}), id="eddsa"),
        pytest.param(_cose(protected={1: True}), id="alg-true"),
        pytest.param(_cose(protected={2: None}), id="no-crit"),
        pytest.param(_cose(protected={2: ["x"]}), id="unknown-crit"),
        pytest.param(_cose(protected={EXPIRY: AT}), id="expiry-not-critical"),
        pytest.param(_cose(protected={"io.cncf.notary.signingTime": 1}), id="time-without-tag"),
        pytest.param(_cose(protected={"io.cncf.notary.signingTime": AT}), id="fraction"),
        pytest.param(_cose(protected={3: "text/plain"}), id="other-content"),
        pytest.param(_cose(protected={4: b"kid"}), id="unknown-header"),
        pytest.param(_cose(unprotected={}), id="no-chain"),
        pytest.param(_cose(unprotected={33: ["leaf"]}), id="chain-of-text"),
        pytest.param(_cose(payload=None), id="detached"),
        pytest.param(_cose(signature="s"), id="signature-as-text"),
    ],
)
def test_a_cose_that_is_not_exactly_one_is_refused(content: bytes) -> None:
    cose.parse(sealed(cose))
    cose.parse(_cose())
    with pytest.raises(EnvelopeMalformedError):
        cose.parse(content)


@pytest.mark.parametrize(
    "payload",
    [
        b"{}",
        b'{"targetArtifact":{}}',
        PAYLOAD.replace(b"401", b"-1"),
        PAYLOAD.replace(b"401", b"true"),
        PAYLOAD.replace(b"401", b"4.5"),
        PAYLOAD.replace(b"sha256:cc", b"sha256:CC"),
        PAYLOAD.replace(b'"size"', b'"seize"'),
        PAYLOAD.replace(b'{"targetArtifact"', b'{"x":1,"targetArtifact"'),
        PAYLOAD.replace(b'"\\u003c1\\u003e"', b"1"),
    ],
)
def test_a_payload_that_names_no_image_is_refused(payload: bytes) -> None:
    assert payload != PAYLOAD
    with pytest.raises(EnvelopeMalformedError):
        parse_payload(payload)


@pytest.mark.parametrize("kind", MEDIA)
@given(data=st.data())
def test_a_damaged_envelope_is_refused_or_read_another_way(
    kind: ModuleType, data: st.DataObject
) -> None:
    content = bytearray(sealed(kind))
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    try:
        kind.parse(bytes(content))
    except EnvelopeMalformedError:
        return


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1()], ids=lambda c: c.name)
def test_an_ecdsa_signature_survives_both_of_its_forms(curve: ec.EllipticCurve) -> None:
    scheme = SCHEMES[Algorithm.EC_P256 if curve.key_size == 256 else Algorithm.EC_P384]
    der = ec.generate_private_key(curve).sign(b"m", ec.ECDSA(hashes.SHA256()))
    raw = to_raw(scheme, der)
    assert len(raw) == 2 * curve.key_size // 8
    assert to_der(scheme, raw) == der
    with pytest.raises(EnvelopeMalformedError):
        to_der(scheme, raw + b"\0")


def test_ed25519_makes_no_envelope() -> None:
    assert set(Algorithm) - SCHEMES.keys() == {Algorithm.ED25519}

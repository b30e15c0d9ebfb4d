"""Which time stamps prove a time: attack by attack, and those of openssl beside our own."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st

from service.formats import rfc3161
from service.verification.stamp_tokens import (
    MAX_STAMP_BYTES,
    StampFault,
    StampInvalidError,
    token_in,
)
from service.verification.stamps import Stamp, TrustedAuthority, check_stamp
from tests.support import chains
from tests.support.authorities import UnsafeAuthority
from tests.support.openssl_tsa import OpenSSLAuthority

MESSAGE = b"the raw bytes of a signature"
GOOD = UnsafeAuthority()
TRUSTED = TrustedAuthority("test", (GOOD.root,))
REPLY = GOOD.over(MESSAGE)
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)


def judged(
    reply: bytes,
    *trusted: TrustedAuthority,
    message: bytes = MESSAGE,
    nonce: int | None = None,
) -> Stamp | StampFault:
    try:
        return check_stamp(token_in(reply), message, trusted or (TRUSTED,), nonce=nonce)
    except StampInvalidError as error:
        return error.fault


def test_a_good_stamp_proves_the_latest_time_that_it_leaves_open() -> None:
    assert judged(GOOD.over(MESSAGE)) == Stamp("test", chains.NOW + SECOND, chains.NOW)
    assert judged(GOOD.over(MESSAGE, nonce=5), nonce=5) == judged(GOOD.over(MESSAGE))


def test_a_stamp_over_something_else_or_of_another_query_is_refused() -> None:
    assert judged(GOOD.over(MESSAGE + b"!")) is StampFault.OTHER_CONTENT
    assert judged(GOOD.over(MESSAGE, nonce=5), nonce=6) is StampFault.OTHER_NONCE
    assert judged(GOOD.over(MESSAGE), nonce=6) is StampFault.OTHER_NONCE


def test_only_a_root_that_is_trusted_counts_whatever_it_calls_itself() -> None:
    specs = chains.with_change(GOOD.specs, 2, number=77)
    namesake = UnsafeAuthority(specs=specs)
    reply = namesake.over(MESSAGE)
    assert judged(reply) is StampFault.UNTRUSTED
    assert judged(reply, TRUSTED, TrustedAuthority("its own", (namesake.root,))) == Stamp(
        "its own", chains.NOW + SECOND, chains.NOW
    )
    assert judged(reply, TrustedAuthority("nobody", ())) is StampFault.UNTRUSTED


def test_of_keys_under_one_root_only_those_that_are_named_count() -> None:
    named = replace(TRUSTED, keys=frozenset({GOOD.public_key}))
    assert isinstance(judged(GOOD.over(MESSAGE), named), Stamp)
    other = UnsafeAuthority(specs=chains.with_change(GOOD.specs, 0, number=55))
    assert isinstance(judged(other.over(MESSAGE)), Stamp)
    assert judged(other.over(MESSAGE), named) is StampFault.UNTRUSTED


@pytest.mark.parametrize("position", [0, 1])
def test_an_authority_stamps_only_while_its_certificates_are_valid(position: int) -> None:
    begin, end = chains.NOW - DAY, chains.NOW + DAY
    specs = chains.with_change(GOOD.specs, position, begin=begin, end=end)
    for at, expected in (
        (begin - SECOND, StampFault.EXPIRED),
        (begin, None),
        (end, None),
        (end + SECOND, StampFault.EXPIRED),
    ):
        found = judged(
            UnsafeAuthority(specs=specs, at=at).over(MESSAGE), TrustedAuthority("x", (GOOD.root,))
        )
        assert found == (expected or Stamp("x", at + SECOND, at))


def test_a_stamp_by_another_key_than_its_certificate_s_is_refused() -> None:
    thief = UnsafeAuthority(key=ec.generate_private_key(ec.SECP256R1()))
    assert judged(thief.over(MESSAGE)) is StampFault.SIGNATURE


def test_a_certificate_for_other_uses_does_not_stamp() -> None:
    other = UnsafeAuthority(
        specs=chains.with_change(GOOD.specs, 0, extended=(ExtendedKeyUsageOID.CODE_SIGNING,))
    )
    assert judged(other.over(MESSAGE)) is StampFault.UNTRUSTED


def test_a_token_without_its_signer_s_certificate_is_refused_as_clients_refuse_it() -> None:
    assert judged(GOOD.over(MESSAGE, certificates=False)) is StampFault.MALFORMED


def test_certificates_that_a_token_leaves_out_may_be_known() -> None:
    full = GOOD.chain
    short = UnsafeAuthority()
    short.chain = full[:1]
    assert judged(short.over(MESSAGE), TrustedAuthority("x", full[2:])) is (StampFault.UNTRUSTED)
    known = TrustedAuthority("x", full[2:], between=full[1:2])
    assert isinstance(judged(short.over(MESSAGE), known), Stamp)


def test_a_refusal_is_told_in_the_authority_s_words() -> None:
    refused = rfc3161.QueryRefusedError(rfc3161.Failure.BAD_ALGORITHM, "no such hash")
    with pytest.raises(StampInvalidError, match="rejection: no such hash") as error:
        token_in(rfc3161.rejection(refused))
    assert error.value.fault is StampFault.NOT_GRANTED


@given(st.binary(max_size=200))
def test_bytes_that_are_no_stamp_are_refused(content: bytes) -> None:
    assert judged(content) is StampFault.MALFORMED
    with pytest.raises(StampInvalidError):
        check_stamp(content, MESSAGE, [TRUSTED], nonce=None)


def test_more_bytes_than_any_stamp_has_are_not_read() -> None:
    assert judged(bytes(MAX_STAMP_BYTES + 1)) is StampFault.MALFORMED


@pytest.mark.filterwarnings("ignore:Parsed a serial number:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:Parsed a serial number:UserWarning")
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_damaged_stamp_proves_nothing_else_than_before(data: st.DataObject) -> None:
    reply = bytearray(REPLY)
    reply[data.draw(st.integers(0, len(reply) - 1))] ^= data.draw(st.integers(1, 255))
    found = judged(bytes(reply))
    # What is not signed, such as a certificate that nobody needs, may change.
    assert isinstance(found, StampFault) or found == Stamp("test", chains.NOW + SECOND, chains.NOW)


def test_a_certificate_of_no_known_version_is_refused() -> None:
    # Of the first certificate in it: [0] INTEGER 2.
    assert judged(REPLY.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x07")) in StampFault


@pytest.mark.parametrize(
    ("kind", "digest"), [("rsa-2048", "sha256"), ("p256", "sha512"), ("p384", "sha384")]
)
def test_stamps_of_openssl_are_taken(tmp_path: Path, kind: str, digest: str) -> None:
    authority = OpenSSLAuthority(tmp_path / "tsa", kind=kind, digest=digest)
    (tmp_path / "message").write_bytes(MESSAGE)
    words = ("-query", "-data", "message", "-sha512", "-cert", "-out", "query")
    subprocess.run(["openssl", "ts", *words], cwd=tmp_path, check=True, capture_output=True)
    before = datetime.now(UTC) - SECOND
    reply = authority.reply((tmp_path / "query").read_bytes())
    trusted = TrustedAuthority("openssl", authority.chain[-1:])
    found = judged(reply, trusted)
    assert isinstance(found, Stamp), found
    assert before <= found.told <= datetime.now(UTC)
    assert judged(reply, trusted, message=MESSAGE + b"!") is StampFault.OTHER_CONTENT
    assert judged(reply) is StampFault.UNTRUSTED

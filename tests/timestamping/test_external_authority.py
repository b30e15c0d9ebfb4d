"""An authority of others over HTTP: openssl, and everything that answers worse than it."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from service.domain.clock import SystemClock
from service.domain.errors import ServiceError, TimestampUnavailableError
from service.domain.signing import Timestamp
from service.formats import rfc3161
from service.timestamping import AuthorityConfig, ExternalAuthority
from service.verification.stamp_tokens import MAX_STAMP_BYTES, token_in
from service.verification.stamps import TrustedAuthority, check_stamp
from tests.client.test_client_tls import certificate
from tests.support import chains
from tests.support.authorities import UnsafeAuthority
from tests.support.openssl_tsa import OpenSSLAuthority
from tests.support.scripted_http import Received, Script, Scripted, ScriptedServer

MESSAGES = [f"signature {n}".encode() for n in range(5)]
REPLY = {"Content-Type": "application/timestamp-reply"}


@pytest.fixture(scope="module")
def openssl(tmp_path_factory: pytest.TempPathFactory) -> OpenSSLAuthority:
    return OpenSSLAuthority(tmp_path_factory.mktemp("openssl"))


def config(openssl: OpenSSLAuthority, host: str, scheme: str = "http") -> AuthorityConfig:
    return AuthorityConfig(
        "openssl", f"{scheme}://{host}/stamp", (openssl.chain[1:],), timeout_seconds=60
    )


@contextmanager
def answering(
    openssl: OpenSSLAuthority, script: Script
) -> Iterator[tuple[ExternalAuthority, ScriptedServer]]:
    with ScriptedServer(script) as server:
        yield ExternalAuthority(config(openssl, server.host), SystemClock()), server


def refused(results: Sequence[Timestamp | ServiceError]) -> str:
    [result] = results
    assert isinstance(result, TimestampUnavailableError)
    return str(result)


def test_each_message_is_stamped_and_the_stamps_are_as_clients_want_them(
    openssl: OpenSSLAuthority,
) -> None:
    with answering(openssl, openssl.serve) as (authority, server):
        stamps = authority.stamp(MESSAGES, seconds=30)
        assert {r.headers["content-type"] for r in server.received} == {
            "application/timestamp-query"
        }
        assert {(r.method, r.path) for r in server.received} == {("POST", "/stamp")}
        assert len({r.body for r in server.received}) == len(MESSAGES)
    trusted = TrustedAuthority("x", openssl.chain[-1:])
    for message, stamp in zip(MESSAGES, stamps, strict=True):
        assert isinstance(stamp, Timestamp)
        assert stamp.authority == "openssl"
        assert abs(stamp.at - datetime.now(UTC)) < timedelta(minutes=1)
        checked = check_stamp(token_in(stamp.reply), message, [trusted], nonce=None)
        assert checked.told == stamp.at
        # notation-go and cosign need every certificate but the root.
        assert all(certificate in stamp.reply for certificate in openssl.chain[:-1])


def test_the_status_of_sigstore_s_authority_is_good_too(openssl: OpenSSLAuthority) -> None:
    def created(request: Received) -> Scripted:
        return replace(openssl.serve(request), status=201)

    with answering(openssl, created) as (authority, _):
        [stamp] = authority.stamp(MESSAGES[:1], seconds=30)
        assert isinstance(stamp, Timestamp)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        pytest.param(Scripted(500, REPLY), "it answered 500", id="500"),
        pytest.param(Scripted(404, REPLY), "it answered 404", id="404"),
        pytest.param(
            Scripted(200, {"Content-Type": "text/html"}, b"<p>"),
            "it answered with text/html",
            id="html",
        ),
        pytest.param(Scripted(200, {}, b""), "with no type", id="no-type"),
        pytest.param(Scripted(200, REPLY, b"junk"), "no TimeStampResp", id="junk"),
        pytest.param(Scripted(200, REPLY, b""), "no TimeStampResp", id="empty"),
        pytest.param(
            Scripted(200, REPLY, bytes(1000), claimed_length=2000), "no complete answer", id="cut"
        ),
        pytest.param(
            Scripted(200, REPLY, bytes(10_000), endless=True),
            f"more than the {MAX_STAMP_BYTES} bytes",
            id="endless",
        ),
        pytest.param(Scripted(silent=True), "no complete answer", id="silent"),
    ],
)
def test_what_is_no_stamp_is_refused(
    openssl: OpenSSLAuthority, answer: Scripted, told: str
) -> None:
    with answering(openssl, lambda _: answer) as (authority, _):
        assert told in refused(authority.stamp(MESSAGES[:1], seconds=1 if answer.silent else 30))


def test_a_redirect_is_not_followed(openssl: OpenSSLAuthority) -> None:
    with ScriptedServer(openssl.serve) as elsewhere:
        away = Scripted(307, {**REPLY, "Location": f"http://{elsewhere.host}/stamp"})
        with answering(openssl, lambda _: away) as (authority, _):
            assert refused(authority.stamp(MESSAGES[:1], seconds=30)) == "it answered 307"
        assert elsewhere.received == []
        direct = ExternalAuthority(config(openssl, elsewhere.host), SystemClock())
        assert isinstance(direct.stamp(MESSAGES[:1], seconds=30)[0], Timestamp)


def test_a_stamp_that_was_made_for_another_query_is_refused(openssl: OpenSSLAuthority) -> None:
    kept: list[Scripted] = []

    def again(request: Received) -> Scripted:
        kept.append(openssl.serve(request))
        return kept[0]

    with answering(openssl, again) as (authority, _):
        assert isinstance(authority.stamp(MESSAGES[:1], seconds=30)[0], Timestamp)
        # The same bytes once more: the old stamp is over them, and answers another query.
        assert "another query" in refused(authority.stamp(MESSAGES[:1], seconds=30))
        assert "something else" in refused(authority.stamp(MESSAGES[1:2], seconds=30))


def test_another_authority_than_the_configured_one_is_refused(
    openssl: OpenSSLAuthority, tmp_path: Path
) -> None:
    other = OpenSSLAuthority(tmp_path / "other", ca_key=35)
    # Same names, other keys: the root is told by its bytes.
    with answering(openssl, other.serve) as (authority, _):
        assert "no trusted root" in refused(authority.stamp(MESSAGES[:1], seconds=30))


def test_an_authority_whose_certificate_has_ended_is_refused(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    between = (now - timedelta(days=2), now - timedelta(days=1))
    ended = OpenSSLAuthority(tmp_path / "ended", between=between)
    with answering(ended, ended.serve) as (authority, _):
        assert "expired" in refused(authority.stamp(MESSAGES[:1], seconds=30))


def test_a_time_far_from_ours_is_no_proof_of_anything(openssl: OpenSSLAuthority) -> None:
    now = datetime.now(UTC)
    specs = chains.chain_specs(3, chains.stamping_leaf())
    liar = UnsafeAuthority(specs=[replace(spec, end=now + chains.YEAR) for spec in specs])

    def lie(request: Received) -> Scripted:
        return Scripted(200, REPLY, liar.granted(rfc3161.parse_query(request.body)))

    with ScriptedServer(lie) as server:
        wanted = AuthorityConfig("liar", f"http://{server.host}", (liar.chain[1:],))
        authority = ExternalAuthority(wanted, SystemClock())
        assert "another time than ours" in refused(authority.stamp(MESSAGES[:1], seconds=30))
        liar.at = now
        assert isinstance(authority.stamp(MESSAGES[:1], seconds=30)[0], Timestamp)


def test_of_a_batch_only_the_first_questions_wait_for_one_who_is_gone(
    openssl: OpenSSLAuthority,
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        host = f"127.0.0.1:{nobody.getsockname()[1]}"
        authority = ExternalAuthority(config(openssl, host), SystemClock())
        results = authority.stamp([bytes([n]) for n in range(200)], seconds=60)
    assert {type(result) for result in results} == {TimestampUnavailableError}
    assert sum("gave no answer" in str(result) for result in results) > 150


@pytest.mark.parametrize("knows_ca", [True, False])
def test_an_authority_behind_tls_must_be_the_one_that_is_named(
    openssl: OpenSSLAuthority, tmp_path: Path, knows_ca: bool
) -> None:
    ca_file, key_file = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ca_file, key_file)
    with ScriptedServer(openssl.serve, tls=context) as server:
        host = server.host.replace("127.0.0.1", "localhost")
        wanted = replace(config(openssl, host, "https"), ca_file=ca_file if knows_ca else None)
        results = ExternalAuthority(wanted, SystemClock()).stamp(MESSAGES[:1], seconds=30)
        if knows_ca:
            assert isinstance(results[0], Timestamp)
        else:
            assert "SSLError" in refused(results)
            assert server.received == []

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from service.client import (
    ClientSettings,
    ProblemError,
    SealwrightClient,
    UnexpectedAnswerError,
    UnreachableError,
)
from service.client import transport as transport_module
from service.client.client import failed_in_passing
from service.client.retries import MAX_WAIT_SECONDS, Retries
from service.domain.callers import Role
from service.domain.digests import Digest
from service.domain.errors import BusyError, ForbiddenError, HSMUnavailableError
from tests.support.edge import HEX, IMAGE, Listening
from tests.support.operations import signed


class Waits:
    """Waits that take no time, and are remembered."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)

    def clock(self) -> float:
        return sum(self.seconds)

    def retries(self, attempts: int = 5) -> Retries:
        return Retries(attempts, 60.0, self, self.clock)


def settings(url: str, token: str | None = None, *, timeout: float = 10.0) -> ClientSettings:
    read = ClientSettings.read({"SEALWRIGHT_URL": url})
    return ClientSettings(read.host, read.port, read.tls, read.path, token, None, timeout)


def client(
    listening: Listening, role: Role = Role.BUILDER, retries: Retries | None = None
) -> SealwrightClient:
    token = listening.world.bearer[role]
    return SealwrightClient(settings(listening.url, token), retries or Waits().retries())


def one(reference: str = IMAGE) -> dict[str, object]:
    return {"images": [{"reference": reference}]}


def test_it_signs_and_reads_the_record(listening: Listening) -> None:
    builder = client(listening)
    answer = builder.sign(one())
    [made] = answer["results"][0]["signatures"]
    assert builder.signature(made["id"])["digest"] == f"sha256:{HEX}"
    assert [s["id"] for s in builder.signatures(key="release", repository=None)] == [made["id"]]


def test_it_reads_every_page_of_a_list(listening: Listening) -> None:
    made = {signed(listening.world, "host.example/a", Digest.of(bytes([n]))).id for n in range(7)}
    auditor = client(listening, Role.AUDITOR)
    assert {s["id"] for s in auditor.signatures(limit="2")} == made


def test_it_speaks_every_other_call(listening: Listening) -> None:
    admin, custodian = client(listening, Role.ADMIN), client(listening, Role.CUSTODIAN)
    assert admin.verify([IMAGE])["results"][0]["verdict"] == "unsigned"
    assert [key["name"] for key in admin.keys("image")] == ["release"]
    assert admin.key("release")["purpose"] == "image"
    assert "BEGIN PUBLIC KEY" in admin.public_key("release", accept="*/*", version=1)
    assert custodian.create_key("b", "log", algorithm="ec-p256", token="test")["name"] == "b"
    wanted = {"name": "ci", "person": "Ada", "role": "builder"}
    assert admin.create_credential(wanted)["token"].startswith("sw_")
    assert "ci" in {c["name"] for c in admin.credentials()}
    assert admin.revoke_credential("ci")["revoked_at"] is not None
    assert next(custodian.slots())["token"] == "test"
    assert custodian.login("test")["state"] == "ready"
    made = signed(listening.world, "host.example/a", Digest.of(b""))
    [attachment] = admin.attachments(state="attached")
    assert attachment["signature_id"] == made.id
    assert admin.retry_attachment(attachment["id"])["state"] == "pending"
    assert len(list(admin.orders("waiting"))) == 1
    assert admin.retry_parked() == 0


def test_names_are_never_paths(listening: Listening) -> None:
    with pytest.raises(ProblemError) as refused:
        client(listening).key("../keys/release?x=y")
    assert refused.value.problem.status == 404


def test_a_problem_is_an_error_with_all_that_it_says(listening: Listening) -> None:
    with pytest.raises(ProblemError) as refused:
        client(listening, Role.AUDITOR).sign(one())
    problem = refused.value.problem
    assert (problem.code, problem.status, problem.retryable) == ("forbidden", 403, False)
    assert len(problem.request_id or "") == 32


def test_a_retryable_problem_is_retried_as_the_service_asks(listening: Listening) -> None:
    waits = Waits()
    listening.world.signing.whole_failures = [
        HSMUnavailableError(retry_after=3),
        BusyError(retry_after=2),
    ]
    answer = client(listening, retries=waits.retries()).sign(one())
    assert answer["succeeded"] == 1
    assert waits.seconds == [3.0, 2.0]


def test_what_is_not_retryable_is_sent_once(listening: Listening) -> None:
    waits = Waits()
    listening.world.signing.whole_failures = [ForbiddenError("no")]
    with pytest.raises(ProblemError):
        client(listening, retries=waits.retries()).sign(one())
    assert listening.world.signing.calls == 1


def test_retries_are_bounded_in_number_and_in_time(listening: Listening) -> None:
    signing = listening.world.signing
    signing.whole_failures = [HSMUnavailableError(retry_after=1) for _ in range(9)]
    with pytest.raises(ProblemError):
        client(listening, retries=Waits().retries(attempts=3)).sign(one())
    assert signing.calls == 3
    waits = Waits()
    signing.calls, signing.whole_failures = (
        0,
        [HSMUnavailableError(retry_after=3000) for _ in range(9)],
    )
    with pytest.raises(ProblemError):
        client(listening, retries=waits.retries(attempts=9)).sign(one())
    assert waits.seconds == [MAX_WAIT_SECONDS] * 2


def test_only_the_items_that_failed_in_passing_are_signed_again(listening: Listening) -> None:
    flaky = f"registry.example.com/flaky@sha256:{HEX}"
    listening.world.signing.fails_once = {flaky}
    request = {
        "images": [{"reference": IMAGE}, {"reference": flaky}, {"reference": "no image"}],
        "force": True,
    }
    answer = client(listening).sign(request)
    assert [r["error"] and r["error"]["code"] for r in answer["results"]] == [
        None,
        None,
        "invalid-reference",
    ]
    # With `force`, anything but a replay under the same Idempotency-Key would have made three.
    assert len(listening.world.journal.signatures) == 2


@pytest.mark.parametrize(
    ("error", "again"),
    [({"retryable": True}, True), ({"retryable": False}, False), (None, False)],
)
def test_a_manifest_of_an_index_that_failed_in_passing_is_worth_another_try(
    error: object, again: bool
) -> None:
    assert failed_in_passing({"error": None, "children": [{"error": error}]}) is again


def test_the_callers_own_idempotency_key_is_used(listening: Listening) -> None:
    builder = client(listening)
    first = builder.sign({**one(), "force": True}, idempotency_key="mine")
    assert builder.sign({**one(), "force": True}, idempotency_key="mine") == first
    assert builder.sign({**one(), "force": True}) != first


def test_a_change_that_is_not_idempotent_is_sent_once(listening: Listening) -> None:
    listening.world.tokens.fault = HSMUnavailableError()
    waits = Waits()
    with pytest.raises(ProblemError):
        client(listening, Role.CUSTODIAN, waits.retries()).login("test")
    assert waits.seconds == []


@contextmanager
def answering(reply: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that reads each request's head and then does as it is told."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    reply(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def raw(text: str) -> Callable[[socket.socket], None]:
    return lambda connection: connection.sendall(text.replace("\n", "\r\n").encode())


@pytest.mark.parametrize(
    ("text", "error"),
    [
        pytest.param(
            "HTTP/1.1 302 Found\nLocation: http://x/\n\n", UnexpectedAnswerError, id="302"
        ),
        pytest.param(
            "HTTP/1.1 200 OK\nContent-Length: 4\n\nhtml", UnexpectedAnswerError, id="not-json"
        ),
        pytest.param("HTTP/1.1 200 OK\nContent-Length: 2\n\n[]", UnexpectedAnswerError, id="list"),
        pytest.param(
            "HTTP/1.1 502 Bad Gateway\nContent-Length: 2\n\n{}", UnexpectedAnswerError, id="proxy"
        ),
        pytest.param(
            "HTTP/1.1 500 X\nContent-Type: application/problem+json\nContent-Length: 2\n\n{}",
            UnexpectedAnswerError,
            id="problem-without-code",
        ),
        pytest.param("HTTP/1.1 200 OK\nContent-Length: 9\n\n{", UnreachableError, id="truncated"),
        pytest.param("nonsense\n\n", UnreachableError, id="not-http"),
        pytest.param("", UnreachableError, id="hung-up"),
    ],
)
def test_whatever_else_answers_is_told_apart_from_the_service(
    text: str, error: type[Exception]
) -> None:
    with answering(raw(text)) as url, pytest.raises(error):
        SealwrightClient(settings(url, "secret"), Waits().retries(attempts=2)).key("release")


def test_silence_ends_at_the_time_out() -> None:
    hang_up = threading.Event()

    def silent(connection: socket.socket) -> None:
        hang_up.wait(60)

    with answering(silent) as url:
        quick = SealwrightClient(settings(url, timeout=0.05), Waits().retries(attempts=1))
        with pytest.raises(UnreachableError, match="did not answer within"):
            quick.key("release")
        hang_up.set()


def test_an_endless_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport_module, "MAX_ANSWER_BYTES", 10)
    text = "HTTP/1.1 200 OK\nContent-Length: {}\n\n{}"
    for size, fits in ((10, True), (11, False)):
        body = "{" + " " * (size - 2) + "}"
        with answering(raw(text.format(size, body))) as url:
            caller = SealwrightClient(settings(url))
            if fits:
                assert caller.key("release") == {}
            else:
                with pytest.raises(UnexpectedAnswerError, match="more than 10 bytes"):
                    caller.key("release")


def test_nobody_listening_is_told_as_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
    waits = Waits()
    with pytest.raises(UnreachableError, match="cannot be reached"):
        SealwrightClient(settings(url), waits.retries(attempts=3)).key("release")
    assert waits.seconds == [0.5, 1.0]

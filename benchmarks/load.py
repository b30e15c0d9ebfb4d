"""A load generator that is cheap enough to stand beside what it measures.

One thread, raw sockets, epoll: some 10 µs a request. Every connection is a caller of its own
who sends the next request when the answer has come (a closed loop).
"""

from __future__ import annotations

import math
import select
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from benchmarks.ceilings import BenchmarkError
from benchmarks.steady import Span, requests_inside

SILENCE_SECONDS: Final = 60.0  # longer than gunicorn's own patience with a worker
RECEIVE_BYTES: Final = 1 << 18
_END_OF_HEAD: Final = b"\r\n\r\n"
_LENGTH: Final = b"\r\ncontent-length:"


@dataclass(frozen=True, slots=True)
class Load:
    """`request` makes the bytes of each next request; every answer must have `status`."""

    address: tuple[str, int]
    request: Callable[[], bytes]
    status: int
    connections: int
    keep_alive: bool


@dataclass(frozen=True, slots=True)
class Measured:
    """`requests` counts parts, see `benchmarks.steady`; `last` is the body of one answer."""

    requests: float
    seconds: float
    last: bytes

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds


@dataclass(slots=True)
class _Caller:
    began: float
    connection: socket.socket
    received: bytearray = field(default_factory=bytearray)
    expected: int | None = None


def run(
    load: Load, *, warm_up: float, seconds: float, at_borders: Callable[[], None] = lambda: None
) -> Measured:
    """Keep all callers busy; measure for `seconds` once `warm_up` is over.

    The load is kept up until every request of the measured time is answered, so that the
    last ones have no machine of their own. `at_borders` is called at its begin and end.

    Raises:
        BenchmarkError: an answer has another status, or none comes.
    """
    return _Loop(load).run(warm_up, seconds, at_borders)


class _Loop:
    def __init__(self, load: Load) -> None:
        self._load = load
        self._poll = select.epoll()
        self._callers: dict[int, _Caller] = {}
        self._spans: list[Span] = []
        self._last = b""

    def run(self, warm_up: float, seconds: float, at_borders: Callable[[], None]) -> Measured:
        # Looked at between answers, so a border is seen late on a busy machine. The measured
        # time is what lies between the moments seen, and begins to run with the first of them.
        begin, end = time.perf_counter() + warm_up, math.inf
        seen: list[float] = []
        try:
            for _ in range(self._load.connections):
                self._send(self._connect())
            while self._callers:
                now = time.perf_counter()
                if now >= (end if seen else begin) and len(seen) < 2:
                    at_borders()
                    seen.append(now)
                    end = seen[0] + seconds
                self._step(again=any(caller.began < end for caller in self._callers.values()))
        finally:
            for caller in self._callers.values():
                caller.connection.close()
            self._poll.close()
        done = requests_inside(self._spans, *seen)
        return Measured(done, seen[1] - seen[0], self._last)

    def _step(self, *, again: bool) -> None:
        events = self._poll.poll(SILENCE_SECONDS, self._load.connections)
        if not events:
            raise BenchmarkError(f"no answer within {SILENCE_SECONDS:.0f} s")
        for number, _ in events:
            caller = self._callers[number]
            if self._receive(caller):
                self._answered(caller, again=again)

    def _receive(self, caller: _Caller) -> bool:
        """Take what has come; True once the answer is complete."""
        try:
            part = caller.connection.recv(RECEIVE_BYTES)
        except ConnectionError as error:
            raise BenchmarkError("the service closed a connection") from error
        if not part:
            raise BenchmarkError("the service closed a connection without an answer")
        caller.received += part
        if caller.expected is None:
            head = caller.received.find(_END_OF_HEAD)
            if head < 0:
                return False
            caller.expected = head + len(_END_OF_HEAD) + _body_length(caller.received[: head + 2])
        return len(caller.received) >= caller.expected

    def _answered(self, caller: _Caller, *, again: bool) -> None:
        self._spans.append(Span(caller.began, time.perf_counter()))
        answer = bytes(caller.received)
        status = int(answer[9:12])
        self._last = answer.partition(_END_OF_HEAD)[2]
        if status != self._load.status:
            raise BenchmarkError(f"the service answered {status}: {self._last[:500]!r}")
        if again and self._load.keep_alive:
            self._send(caller.connection)
            return
        del self._callers[caller.connection.fileno()]
        caller.connection.close()
        if again:
            self._send(self._connect())

    def _connect(self) -> socket.socket:
        connection = socket.create_connection(self._load.address, timeout=SILENCE_SECONDS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._poll.register(connection.fileno(), select.EPOLLIN)
        return connection

    def _send(self, connection: socket.socket) -> None:
        request = self._load.request()
        self._callers[connection.fileno()] = _Caller(time.perf_counter(), connection)
        connection.sendall(request)


def _body_length(head: bytearray) -> int:
    lowered = head.lower()
    start = lowered.find(_LENGTH)
    if start < 0:
        raise BenchmarkError("an answer without Content-Length")
    start += len(_LENGTH)
    return int(lowered[start : lowered.index(b"\r\n", start)])


def http_request(
    method: str,
    target: str,
    *,
    host: str,
    token: str | None = None,
    body: bytes = b"",
    keep_alive: bool = True,
) -> bytes:
    """Return the bytes of an HTTP/1.1 request (RFC 9112) with a JSON body, if any."""
    head = [f"{method} {target} HTTP/1.1", f"Host: {host}"]
    if token is not None:
        head.append(f"Authorization: Bearer {token}")
    if body:
        head += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    if not keep_alive:
        head.append("Connection: close")
    return "\r\n".join([*head, "", ""]).encode() + body

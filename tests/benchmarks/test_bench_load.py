"""The load generator against a real HTTP server that answers as the test wants."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from benchmarks import load
from benchmarks.ceilings import BenchmarkError

BODY = b"x" * 100_000  # more than one read


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    connections: set[tuple[str, int]]

    def do_POST(self) -> None:
        self.server.seen.add(self.client_address)  # type: ignore[attr-defined]  # set below
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if body == b'"close"':
            self.close_connection = True
            return
        status = 201 if self.headers["Authorization"] == "Bearer right" else 401
        self.send_response(status)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as listening:
        listening.seen = set()  # type: ignore[attr-defined]  # who has connected
        thread = Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield listening
        listening.shutdown()
        thread.join()


def _load(
    server: ThreadingHTTPServer,
    *,
    token: str = "right",
    body: bytes = b'"sign"',
    keep_alive: bool = True,
) -> load.Load:
    request = load.http_request(
        "POST", "/", host="test", token=token, body=body, keep_alive=keep_alive
    )
    address = ("127.0.0.1", server.server_address[1])
    return load.Load(address, lambda: request, status=201, connections=3, keep_alive=keep_alive)


def test_answers_are_read_to_their_end_and_counted(server: ThreadingHTTPServer) -> None:
    borders: list[None] = []
    measured = load.run(
        _load(server), warm_up=0.05, seconds=0.2, at_borders=lambda: borders.append(None)
    )
    assert measured.last == BODY
    assert measured.requests > 0
    assert len(borders) == 2


def test_time_that_passes_between_two_looks_is_measured_as_it_was(
    server: ThreadingHTTPServer,
) -> None:
    measured = load.run(_load(server), warm_up=0, seconds=1e-9)
    assert measured.seconds > 0
    assert measured.requests > 0


def test_callers_keep_their_connections(server: ThreadingHTTPServer) -> None:
    load.run(_load(server), warm_up=0, seconds=0.1)
    assert len(server.seen) == 3  # type: ignore[attr-defined]  # as above


def test_callers_without_keep_alive_connect_each_time(server: ThreadingHTTPServer) -> None:
    measured = load.run(_load(server, keep_alive=False), warm_up=0, seconds=0.1)
    while measured.requests <= 3:  # the machine stalled for as long as that took
        server.seen.clear()  # type: ignore[attr-defined]  # as above
        measured = load.run(_load(server, keep_alive=False), warm_up=0, seconds=0.1)
    assert len(server.seen) >= measured.requests > 3  # type: ignore[attr-defined]  # as above


def test_another_status_ends_the_measurement(server: ThreadingHTTPServer) -> None:
    with pytest.raises(BenchmarkError, match="answered 401"):
        load.run(_load(server, token="wrong"), warm_up=0, seconds=0.1)


def test_a_connection_that_closes_without_an_answer_ends_it(server: ThreadingHTTPServer) -> None:
    with pytest.raises(BenchmarkError, match="closed a connection"):
        load.run(_load(server, body=b'"close"'), warm_up=0, seconds=0.1)

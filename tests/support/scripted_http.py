"""A small HTTP server on loopback that answers whatever a test tells it to, hostile or not."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import Self


@dataclass(frozen=True)
class Received:
    """A request; `path` includes the query, header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Scripted:
    """An answer.

    `claimed_length` lies about the length, so that the body is cut short; `silent` sends
    nothing until the server stops; `endless` repeats the body until the client has enough.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    claimed_length: int | None = None
    silent: bool = False
    endless: bool = False


Script = Callable[[Received], Scripted]


class ScriptedServer:
    """Serves a script from a free port, between `with` and its end; records what it got."""

    def __init__(self, script: Script, *, tls: ssl.SSLContext | None = None) -> None:
        self._script = script
        self._lock = Lock()
        self._stopping = Event()
        self._received: list[Received] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                try:
                    outer._serve(self)
                except ConnectionError:
                    self.close_connection = True

            do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815 - the names http.server looks for

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its base's
                return None

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def received(self) -> list[Received]:
        with self._lock:
            return list(self._received)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        length = int(handler.headers.get("Content-Length", "0"))
        request = Received(
            handler.command,
            handler.path,
            {name.lower(): value for name, value in handler.headers.items()},
            handler.rfile.read(length),
        )
        with self._lock:
            self._received.append(request)
        answer = self._script(request)
        if answer.silent:
            self._stopping.wait()
            handler.close_connection = True
            return
        claimed = len(answer.body) if answer.claimed_length is None else answer.claimed_length
        handler.send_response(answer.status)
        for name, value in answer.headers.items():
            handler.send_header(name, value)
        if not answer.endless:
            handler.send_header("Content-Length", str(claimed))
        handler.end_headers()
        if request.method == "HEAD":
            return
        handler.wfile.write(answer.body)
        while answer.endless and not self._stopping.is_set():
            handler.wfile.write(answer.body)
        if claimed != len(answer.body) or answer.endless:
            handler.close_connection = True
            handler.connection.shutdown(socket.SHUT_WR)

"""A small witness (C2SP tlog-witness) that shares no line with what it is there to test.

It knows one origin and one P-256 log key, remembers what it has cosigned, and checks consistency
by the iterative algorithm of RFC 9162, 2.1.4.2. `instead` makes it answer something else.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from tests.support.merkle import grew


@dataclass
class SmallWitness:
    origin: str
    log_key: bytes
    name: str = "witness.example/w1"
    key: ed25519.Ed25519PrivateKey = field(default_factory=ed25519.Ed25519PrivateKey.generate)
    seen: tuple[int, bytes] = (0, b"")
    asked: int = 0
    instead: tuple[int, dict[str, str], bytes] | None = None
    holds: Event = field(default_factory=Event)
    """Cleared: nothing is answered before it is set."""
    _lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        self.holds.set()

    @property
    def public(self) -> bytes:
        return self.key.public_key().public_bytes_raw()

    @property
    def key_id(self) -> bytes:
        return sha256(self.name.encode() + b"\n\x04" + self.public).digest()[:4]

    @property
    def vkey(self) -> str:
        encoded = base64.b64encode(b"\x04" + self.public).decode()
        return f"{self.name}+{self.key_id.hex()}+{encoded}"

    def answer(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        self.asked += 1
        self.holds.wait(20)
        return self._judged(body) if self.instead is None else self.instead

    def _judged(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        header, _, note = body.decode().partition("\n\n")
        first, *proof = header.split("\n")
        text, _, signatures = note.partition("\n\n")
        text += "\n"
        origin, size_text, root_text = text.split("\n")[:3]
        if origin != self.origin or not any(
            self._by_log(text, line) for line in signatures.splitlines()
        ):
            return (404 if origin != self.origin else 403), {}, b""
        old, size, root = (
            int(first.removeprefix("old ")),
            int(size_text),
            base64.b64decode(root_text),
        )
        if old > size:
            return 400, {}, b""
        with self._lock:
            if old != self.seen[0] or (old == size and root != self.seen[1]):
                kind = {"Content-Type": "text/x.tlog.size"}
                return 409, kind, f"{self.seen[0]}\n".encode()
            if not grew(self.seen, (size, root), [base64.b64decode(one) for one in proof]):
                return 422, {}, b""
            self.seen = (size, root)
        return 200, {}, self.cosign(text).encode()

    def cosign(self, text: str) -> str:
        now = int(time.time())
        signature = self.key.sign(f"cosignature/v1\ntime {now}\n{text}".encode())
        line = base64.b64encode(self.key_id + now.to_bytes(8, "big") + signature).decode()
        return f"\N{EM DASH} {self.name} {line}\n"

    def _by_log(self, text: str, line: str) -> bool:
        dash, name, encoded = line.split(" ")
        raw = base64.b64decode(encoded)
        key = serialization.load_der_public_key(self.log_key)
        assert isinstance(key, ec.EllipticCurvePublicKey)
        if (dash, name, raw[:4]) != ("\N{EM DASH}", self.origin, sha256(self.log_key).digest()[:4]):
            return False
        try:
            key.verify(raw[4:], text.encode(), ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True


@contextmanager
def served(witness: SmallWitness) -> Iterator[str]:
    """Serve it on loopback; yields its submission prefix."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            wrong = (404, dict[str, str](), b"")
            body = self.rfile.read(length)
            status, headers, content = (
                witness.answer(body) if self.path == "/w/add-checkpoint" else wrong
            )
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            pass  # who asked has gone

    server = Server(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/w"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

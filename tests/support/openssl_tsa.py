"""A real time-stamping authority that shares nothing with us: `openssl ts -reply` behind HTTP."""

from __future__ import annotations

import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography.hazmat.primitives import serialization

from tests.support import chains

_CONFIGURATION = """\
[tsa]
default_tsa = one
[one]
serial = ./serial
crypto_device = builtin
signer_cert = ./leaf.pem
certs = ./chain.pem
signer_key = ./leaf.key
signer_digest = {digest}
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
accuracy = secs:1
ess_cert_id_chain = no
ess_cert_id_alg = sha256
tsa_name = yes
ordering = no
"""


@dataclass
class OpenSSLAuthority:
    """`chain` is DER, leaf first. `change` is done to each reply: the identity for a good one."""

    place: Path
    kind: str = "rsa-2048"
    digest: str = "sha256"
    between: tuple[datetime, datetime] = (
        datetime.now(UTC) - timedelta(days=1),
        datetime.now(UTC) + timedelta(days=1),
    )
    change: Callable[[bytes], bytes] = lambda reply: reply
    queries: list[bytes] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        begin, end = self.between
        leaf = chains.stamping_leaf(kind=self.kind, begin=begin, end=end)
        years = {"begin": begin - chains.YEAR, "end": end + chains.YEAR}
        specs = [leaf, chains.ca("between", 31, **years), chains.ca("their root", 32, **years)]
        self.chain = tuple(chains.issue(specs))
        self.place.mkdir(parents=True, exist_ok=True)
        (self.place / "tsa.cnf").write_text(_CONFIGURATION.format(digest=self.digest))
        (self.place / "serial").write_text("01\n")
        (self.place / "leaf.pem").write_text(chains.pem_of(self.chain[:1]))
        (self.place / "chain.pem").write_text(chains.pem_of(self.chain[1:]))
        (self.place / "root.pem").write_text(chains.pem_of(self.chain[-1:]))
        (self.place / "leaf.key").write_bytes(
            leaf.key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )

    @property
    def roots_file(self) -> Path:
        return self.place / "root.pem"

    def reply(self, query: bytes) -> bytes:
        # It counts its serial numbers in a file, one after the other.
        with self._lock:
            self.queries.append(query)
            (self.place / "query").write_bytes(query)
            words = ("-reply", "-config", "tsa.cnf", "-queryfile", "query", "-out", "reply")
            subprocess.run(
                ["openssl", "ts", *words], cwd=self.place, check=True, capture_output=True
            )
            return self.change((self.place / "reply").read_bytes())


@dataclass
class Served:
    """What a server answers with; a test changes it between requests."""

    url: str
    status: int = 200
    kind: str = "application/timestamp-reply"
    location: str | None = None
    body: bytes | None = None
    requests: int = 0


@contextmanager
def serve(authority: OpenSSLAuthority, *, tls: tuple[Path, Path] | None = None) -> Iterator[Served]:
    """Serve the authority on loopback; `tls` are the files of a certificate and its key."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            query = self.rfile.read(int(self.headers["Content-Length"]))
            served.requests += 1
            body = authority.reply(query) if served.body is None else served.body
            self.send_response(served.status)
            self.send_header("Content-Type", served.kind)
            self.send_header("Content-Length", str(len(body)))
            if served.location is not None:
                self.send_header("Location", served.location)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: object) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    scheme = "http"
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        scheme = "https"
    served = Served(f"{scheme}://127.0.0.1:{server.server_address[1]}/stamp")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

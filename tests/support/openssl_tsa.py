"""A real time-stamping authority that shares nothing with us: `openssl ts -reply`."""

from __future__ import annotations

import subprocess
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives import serialization

from tests.support import chains
from tests.support.scripted_http import Received, Scripted

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
    """`chain` is DER, leaf first. Behind `tests.support.scripted_http` it is one that is asked."""

    place: Path
    kind: str = "rsa-2048"
    digest: str = "sha256"
    ca_key: int = 31
    """Which of the keys of `tests.support.chains` its CAs have: this one and the next."""
    between: tuple[datetime, datetime] = (
        datetime.now(UTC) - timedelta(days=1),
        datetime.now(UTC) + timedelta(days=1),
    )
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        begin, end = self.between
        leaf = chains.stamping_leaf(kind=self.kind, begin=begin, end=end)
        years = {"begin": begin - chains.YEAR, "end": end + chains.YEAR}
        specs = [
            leaf,
            chains.ca("between", self.ca_key, **years),
            chains.ca("their root", self.ca_key + 1, **years),
        ]
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
            (self.place / "query").write_bytes(query)
            words = ("-reply", "-config", "tsa.cnf", "-queryfile", "query", "-out", "reply")
            subprocess.run(
                ["openssl", "ts", *words], cwd=self.place, check=True, capture_output=True
            )
            return (self.place / "reply").read_bytes()

    def serve(self, request: Received) -> Scripted:
        """`tests.support.scripted_http.Script`."""
        return Scripted(
            200, {"Content-Type": "application/timestamp-reply"}, self.reply(request.body)
        )

"""Time-stamping authorities with keys in memory, as good or as bad as a test wants them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from service.domain.errors import HSMUnavailableError, ServiceError
from service.domain.keys import Scheme
from service.domain.signing import Timestamp
from service.formats import rfc3161
from tests.support import chains

SCHEME = Scheme.ECDSA_P256_SHA256


@dataclass
class UnsafeAuthority:
    """`service.ports.timestamps.TimestampAuthority`; `chain` is of its P-256 `key`."""

    name: str = "test"
    at: datetime = chains.NOW
    specs: Sequence[chains.Spec] = field(
        default_factory=lambda: chains.chain_specs(3, chains.stamping_leaf())
    )
    key: Any = None
    is_away: bool = False
    asked: list[bytes] = field(default_factory=list)
    """Every message that it was ever asked to stamp."""

    def __post_init__(self) -> None:
        self.chain = tuple(chains.issue(self.specs))
        self.key = self.key or self.specs[0].key

    @property
    def root(self) -> bytes:
        return self.chain[-1]

    @property
    def public_key(self) -> bytes:
        public = self.specs[0].key.public_key()
        made: bytes = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return made

    def stamp(
        self, messages: Sequence[bytes], *, seconds: float
    ) -> Sequence[Timestamp | ServiceError]:
        self.asked += messages
        if self.is_away:
            return [HSMUnavailableError(f"{self.name} is away") for _ in messages]
        return [Timestamp(self.name, self.at, self.over(message)) for message in messages]

    def over(self, message: bytes, *, nonce: int | None = None, certificates: bool = True) -> bytes:
        """Return a TimeStampResp over a message."""
        query = rfc3161.Query("sha256", sha256(message).digest(), nonce, certificates)
        return self.granted(query)

    def granted(self, query: rfc3161.Query) -> bytes:
        prepared = rfc3161.prepare(
            query, serial=7, at=self.at, certificate=self.chain[0], scheme=SCHEME
        )
        signature = self.key.sign(prepared.to_be_signed, ec.ECDSA(hashes.SHA256()))
        return rfc3161.reply(query, prepared, signature, chain=self.chain, scheme=SCHEME)

"""The logs' operations on a real store, with a key in memory where a token is not the matter."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from service.domain.clock import Clock, SystemClock
from service.domain.errors import HSMUnavailableError, ServiceError
from service.domain.keys import (
    Algorithm,
    Attributes,
    GeneratedKey,
    Key,
    KeyVersion,
    Location,
    Purpose,
    Scheme,
)
from service.operations.log import (
    ExtendLog,
    LogNames,
    ProveEntries,
    RollbackGuard,
    SignatureLog,
    SignHeads,
)
from service.ports.hsm import ToSign
from service.store import Store
from service.witnesses import CheckpointFiles
from tests.support.records import MOMENT


class InsecureSignerWarning(UserWarning):
    """A key in memory is in use where a hardware key belongs."""


@dataclass
class UnsafeSoftwareSigner:
    """`service.ports.hsm.Signer` over P-256 keys in memory; `seen` is all that it ever signed."""

    seen: list[bytes] = field(default_factory=list)
    is_away: bool = False
    before: Callable[[], None] = lambda: None
    _keys: dict[bytes, ec.EllipticCurvePrivateKey] = field(default_factory=dict)

    def __post_init__(self) -> None:
        warnings.warn("signing with keys in memory", InsecureSignerWarning, stacklevel=2)

    def generate(self) -> bytes:
        key = ec.generate_private_key(ec.SECP256R1())
        spki = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self._keys[spki] = key
        return spki

    def sign(
        self, version: KeyVersion, scheme: Scheme, items: Sequence[ToSign]
    ) -> Sequence[bytes | ServiceError]:
        self.before()
        if self.is_away:
            return [HSMUnavailableError("the token is away") for _ in items]
        signed = []
        for item in items:
            self.seen.append(item.message)
            signature = self._keys[version.public_key].sign(item.message, ec.ECDSA(hashes.SHA256()))
            item.check(signature)
            signed.append(signature)
        return signed


def new_signer() -> UnsafeSoftwareSigner:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InsecureSignerWarning)
        return UnsafeSoftwareSigner()


def make_log_key(store: Store, signer: UnsafeSoftwareSigner, name: str = "log") -> Key:
    generated = GeneratedKey(
        cka_id=name.encode().ljust(16, b"."),
        public_key=signer.generate(),
        location=Location("token", "serial"),
        attributes=Attributes(sensitive=True, extractable=False),
    )
    key = Key(name, Purpose.LOG, Algorithm.EC_P256, MOMENT)
    return store.keys.create(key, generated, actor="custodian")


def make_log(
    store: Store,
    signer: UnsafeSoftwareSigner,
    directory: Path,
    *,
    name: str | None = "log.example.test",
    clock: Clock | None = None,
) -> SignatureLog:
    """Return what one process has of the logs."""
    clock = clock or SystemClock()
    names = LogNames(store.log_writer, store.log_reader, store.keys, name)
    heads = SignHeads(store.keys, signer)
    guard = RollbackGuard(
        writer=store.log_writer, reader=store.log_reader, keeper=CheckpointFiles(directory)
    )
    return SignatureLog(
        names=names,
        writer=store.log_writer,
        extend=ExtendLog(
            names=names, writer=store.log_writer, sign=heads, guard=guard, clock=clock
        ),
        prove=ProveEntries(store.log_reader),
        sign=heads,
        guard=guard,
        clock=clock,
    )

"""Signs the head of a committed tree: two texts of the log `signatures`, one of `audit`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from service.domain.errors import KeyNotUsableError, LogUnavailableError, ServiceError
from service.domain.keys import Scheme
from service.domain.log import LogName, SignedHead, Tree
from service.domain.public_keys import public_key
from service.domain.purposes import LogVersion, log_versions
from service.ports.hsm import Signer, ToSign
from service.ports.store import KeyCatalog
from service.translog.checkpoints import Checkpoint, rekor_origin
from service.translog.notes import NoteSignature, ecdsa_key_id, sign_text

SCHEME = Scheme.ECDSA_P256_SHA256


@dataclass(frozen=True, slots=True)
class SignHeads:
    keys: KeyCatalog
    signer: Signer

    def __call__(self, tree: Tree) -> SignedHead:
        """Return the signed head, each signature checked against the pinned key.

        The newest active version signs; where its token is away, the one before it.

        Raises:
            LogUnavailableError: none can.
        """
        origins = [tree.name]
        if tree.log is LogName.SIGNATURES:
            origins.append(rekor_origin(tree.name, tree.id))
        texts = [Checkpoint(origin, tree.size, tree.root).text() for origin in origins]
        version, signatures = self.sign(tree.key, [text.encode() for text in texts])
        key_id = ecdsa_key_id(version.public_key)
        notes = [
            sign_text(text, [NoteSignature(tree.name, key_id, signature)])
            for text, signature in zip(texts, signatures, strict=True)
        ]
        return SignedHead(
            tree_id=tree.id,
            size=tree.size,
            root=tree.root,
            key=version.key,
            version=version.version,
            public_key=version.public_key,
            note=notes[0],
            rekor_note=notes[1] if notes[1:] else None,
        )

    def sign(self, key_name: str, messages: list[bytes]) -> tuple[LogVersion, list[bytes]]:
        """Sign messages with one version of a log's key. Raises LogUnavailableError."""
        failure: ServiceError | None = None
        for version in reversed(self._active(key_name)):
            try:
                return version, self._signed(version, messages)
            except ServiceError as error:
                failure = error
        raise LogUnavailableError(
            f"the log cannot be signed: {failure}",
            retry_after=None if failure is None else failure.retry_after,
        ) from failure

    def newest(self, key_name: str) -> LogVersion:
        """Return the version that signs now. Raises LogUnavailableError."""
        return self._active(key_name)[-1]

    def sign_by(self, version: LogVersion, message: bytes) -> bytes:
        """Sign with exactly this version. Raises LogUnavailableError."""
        try:
            return self._signed(version, [message])[0]
        except ServiceError as error:
            raise LogUnavailableError(
                f"the log cannot be signed: {error}", retry_after=error.retry_after
            ) from error

    def _active(self, key_name: str) -> tuple[LogVersion, ...]:
        key = self.keys.get(key_name)
        try:
            if key is not None:
                return log_versions(key)
        except KeyNotUsableError as error:
            raise LogUnavailableError(f"the log cannot be signed: {error}") from error
        raise LogUnavailableError(f"the log cannot be signed: there is no key {key_name}")

    def _signed(self, version: LogVersion, messages: list[bytes]) -> list[bytes]:
        items = [
            ToSign(message, partial(_check, version.public_key, message)) for message in messages
        ]
        signed = []
        for result in self.signer.sign(version, SCHEME, items):
            if isinstance(result, ServiceError):
                raise result
            signed.append(result)
        return signed


def _check(spki: bytes, message: bytes, signature: bytes) -> None:
    public_key(spki).verify(SCHEME, message, signature)

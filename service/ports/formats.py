"""What a signature format is: one module of `service.formats` behind this protocol each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from service.domain.digests import Digest
from service.domain.keys import Algorithm, Scheme
from service.domain.references import Reference, Repository
from service.domain.signing import Artifact, Signature, SignatureLayer


class SignatureFormat(Protocol):
    """Pure: bytes and values in, bytes and values out."""

    name: str

    def scheme(self, algorithm: Algorithm) -> Scheme:
        """Return the one scheme that the format's verifiers accept for this kind of key.

        Raises:
            UnsupportedFormatError: they accept none.
        """
        ...

    def default_identity(self, repository: Repository, reference: Reference) -> str:
        """Return the name that a signature claims if the caller gives none."""
        ...

    def payload(
        self, digest: Digest, identity: str, annotations: Sequence[tuple[str, str]]
    ) -> bytes:
        """Return the exact bytes to be signed (step 5)."""
        ...

    def check(
        self, payload: bytes, signature: bytes, *, digest: Digest, public_key: bytes, scheme: Scheme
    ) -> None:
        """Check a signature by this ecosystem's own rules (step 8).

        Raises:
            SignatureInvalidError: it does not stand (`service.domain.public_keys`).
        """
        ...

    def log_entry(self, payload: bytes, signature: bytes, public_key: bytes) -> bytes:
        """Return the exact bytes of the leaf that the log will hold."""
        ...

    def layer(self, signature: Signature) -> SignatureLayer: ...

    def artifact(self, subject: Digest, signatures: Sequence[Signature]) -> Artifact: ...

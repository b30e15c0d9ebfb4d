"""What a signature format is: one module of `service.formats` behind this protocol each.

Everything here is pure: bytes and values in, bytes and values out. A time or a registry's
answer comes as an argument.
"""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from service.domain.digests import Descriptor
from service.domain.keys import KeyVersion, Scheme
from service.domain.outbox import OrderKind
from service.domain.references import Reference, Repository
from service.domain.signing import Attachable, Signature, Statement


class SignedForm(Protocol):
    """What steps 6 to 9 of the signing cycle ask of bytes that are fixed."""

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> OrderKind | None:
        """What kind of order brings its signatures to their place; None: the caller does."""
        ...

    def scheme(self, version: KeyVersion) -> Scheme:
        """Return the one scheme that the format's verifiers accept of this key version.

        Raises:
            UnsupportedFormatError: they accept none, with the reason.
        """
        ...

    def message(self, payload: bytes, scheme: Scheme) -> bytes:
        """Return the bytes that the key signs, which follow from the payload alone."""
        ...

    def check(
        self,
        statement: Statement,
        payload: bytes,
        signature: bytes,
        *,
        version: KeyVersion,
        scheme: Scheme,
    ) -> None:
        """Check a signature by this ecosystem's own rules, against the pinned key (step 8).

        Raises:
            SignatureInvalidError: it does not stand (`service.domain.public_keys`).
        """
        ...

    def log_entry(
        self, payload: bytes, signature: bytes, *, public_key: bytes, scheme: Scheme
    ) -> bytes:
        """Return the exact bytes of the leaf that the log will hold."""
        ...


class RecordedFormat(SignedForm, Protocol):
    """What steps 10 and 11 ask besides: of signatures and attestations alike."""

    name: str

    kind: OrderKind

    def stamped(self, signature: bytes, scheme: Scheme) -> bytes | None:
        """Return what a time stamp of the signature is over; None where none has a place."""
        ...

    def attachment(self, signature: Signature, subject: Descriptor) -> Attachable:
        """Assemble what lies at the registry, from the record and always the same."""
        ...


class SignatureFormat(RecordedFormat, Protocol):
    """What signs an image."""

    signs_descriptor: bool
    """Whether media type and size of the image are signed: they must then be known."""

    def default_identity(self, repository: Repository, reference: Reference) -> str:
        """Return the name that a signature claims if the caller gives none.

        `reference` is what the caller wrote; for a child of an index it is the index's.
        """
        ...

    def payload(self, statement: Statement, *, version: KeyVersion, at: datetime) -> bytes:
        """Fix what is signed (step 5): the bytes that are recorded and answered.

        `at` is for formats that sign a time. Where one signature stands for the statement
        already, its own payload stays.

        Raises:
            InvalidRequestError: no verifier could read it.
        """
        ...

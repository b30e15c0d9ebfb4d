"""Attestations: what is said of an image beside that it is signed, and requests for them.

An attestation is recorded as a signature whose statement carries, under names that are ours
alone, the type of its predicate and the digest of the predicate's exact bytes. So one stands
for each (key version, image, type, predicate), and the record and its audit event tell what
it says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from service.domain.digests import Digest
from service.domain.limits import MAX_PREDICATE_DEPTH, MAX_PREDICATE_TYPE_CHARS
from service.domain.signing import RESERVED_ANNOTATION_PREFIX, Statement

FORMAT: Final = "attestation"
PREDICATE_TYPE: Final = f"{RESERVED_ANNOTATION_PREFIX}predicate-type"
PREDICATE_DIGEST: Final = f"{RESERVED_ANNOTATION_PREFIX}predicate-digest"
COSIGN_SIGN: Final = "https://sigstore.dev/cosign/sign/v1"
"""The predicate type of a signature; every other makes an attestation."""

MAX_EXACT: Final = 2**53 - 1  # RFC 7493, 2.2: readers that go by doubles change what is beyond

# RFC 3986, 4.3: a scheme, and behind the colon no other characters than a URI has.
_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[A-Za-z0-9._~:/?@!$&'()*+,;=%-]+")


@dataclass(frozen=True, slots=True)
class PredicateType:
    """An absolute URI that says what a predicate means, and never that of a signature."""

    uri: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ValueError, with what is wrong."""
        if len(text) > MAX_PREDICATE_TYPE_CHARS:
            raise ValueError(f"A type has at most {MAX_PREDICATE_TYPE_CHARS} characters.")
        if not _URI.fullmatch(text):
            raise ValueError("Not an absolute URI.")
        if text == COSIGN_SIGN:
            raise ValueError("That is the type of a signature: sign the image instead.")
        return cls(text)


@dataclass(frozen=True, slots=True)
class Predicate:
    """What is attested: its type, and the exact bytes that become part of the statement."""

    type: PredicateType
    content: bytes

    def annotations(self) -> tuple[tuple[str, str], ...]:
        """Return what a statement carries of it, sorted."""
        return (
            (PREDICATE_DIGEST, str(Digest.of(self.content))),
            (PREDICATE_TYPE, self.type.uri),
        )


@dataclass(frozen=True, slots=True)
class ImageToAttest:
    """One item of a request; it fails alone, so nothing of it but its type is parsed yet."""

    unverified_reference: str
    predicate_type: PredicateType
    unverified_predicate: Mapping[str, Any]
    item_id: str | None = None


@dataclass(frozen=True, slots=True)
class AttestationRequest:
    attestations: tuple[ImageToAttest, ...]
    key: str | None = None
    attach: bool = True
    force: bool = False

    @property
    def size(self) -> int:
        return len(self.attestations)

    @property
    def promises(self) -> bool:
        return False  # bundles hold the whole proof, and need none


def not_portable(value: object) -> str | None:
    """Return why readers of the JSON value would see another one, or None if they would not."""
    todo = [(value, 1)]
    while todo:
        one, depth = todo.pop()
        if isinstance(one, dict | list):
            if depth > MAX_PREDICATE_DEPTH:
                return f"Nested deeper than {MAX_PREDICATE_DEPTH}."
            inner = one.values() if isinstance(one, dict) else one
            todo.extend((part, depth + 1) for part in inner)
        elif isinstance(one, int | float) and abs(one) > MAX_EXACT:
            return "Holds a number beyond 2**53-1, which readers would change: write it as text."
    return None


def predicate_type_of(statement: Statement) -> str | None:
    """Return the type of what a recorded statement attests; None if it signs an image."""
    return dict(statement.annotations).get(PREDICATE_TYPE)

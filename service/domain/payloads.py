"""What tools of others hand over to be signed: the four kinds of payload that are taken."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from service.domain.signing import RESERVED_ANNOTATION_PREFIX, Signature


class Encoding(StrEnum):
    """How the bytes that are signed are made: there is none for bytes of any other making."""

    SIMPLESIGNING = "simplesigning"
    """cosign's payload of a `.sig` signature."""
    DSSE_PAE = "dsse-pae"
    """The pre-authentication encoding of an in-toto statement."""
    NOTATION_JWS = "notation-jws"
    """The signing input of a Notary Project JWS."""
    NOTATION_COSE = "notation-cose"
    """The Sig_structure of a Notary Project COSE_Sign1."""


PAYLOAD_ANNOTATION: Final = f"{RESERVED_ANNOTATION_PREFIX}payload-sha256"
"""On record only: such a statement is its exact bytes, however much two of them look alike."""


@dataclass(frozen=True, slots=True)
class PayloadRequest:
    key: str
    encoding: Encoding
    unverified_payload: bytes


@dataclass(frozen=True, slots=True)
class SignedPayload:
    """A signature on record, and `value`: the same as the envelope of its encoding holds it."""

    encoding: Encoding
    signature: Signature
    value: bytes
    chain: tuple[bytes, ...] = ()
    """The certificates that go into such an envelope, as DER, leaf first."""

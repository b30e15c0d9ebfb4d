"""Payloads that tools of others have made, read before a key is let near them.

Guaranteed: what is read is one of four kinds, wholly understood, and about exactly one image by
its sha256; nothing else can be made to look like it. In particular a statement's predicate type is
that which every reader sees, and bytes that are read as one kind are none of the others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from types import MappingProxyType
from typing import Final

from service.domain.attestations import COSIGN_SIGN, PredicateType
from service.domain.digests import Digest
from service.domain.errors import InvalidReferenceError
from service.domain.keys import KeyVersion, Scheme
from service.domain.outbox import OrderKind
from service.domain.payloads import Encoding
from service.domain.public_keys import SignatureInvalidError, public_key
from service.domain.references import Reference
from service.domain.signing import Signature, Statement
from service.formats import bundle, dsse, intoto, simplesigning
from service.formats.notation import cose, envelope, form, jws
from service.translog.rekor import hashedrekord

STATEMENT_TYPES: Final = frozenset({intoto.STATEMENT_TYPE, "https://in-toto.io/Statement/v0.1"})
"""The second is that of attestations by cosign 2."""

_PAE: Final = re.compile(rb"DSSEv1 ([1-9][0-9]*) ")


class PayloadMalformedError(SignatureInvalidError):
    """The bytes are not a payload of the kind that they are said to be, read strictly."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a payload says. `content` is what is recorded of it, from which its bytes follow."""

    digest: Digest
    content: bytes
    predicate_type: PredicateType | None = None
    """Of an attestation; None of what signs an image, by its own predicate type or by its kind."""
    name: Reference | None = None
    """The name that it claims for the image, where it claims one that can be understood."""
    scheme: Scheme | None = None
    """Where the payload itself says how it is to be signed."""

    @property
    def signs_an_image(self) -> bool:
        return self.predicate_type is None


def read(encoding: Encoding, payload: bytes) -> Claim:
    """Read a payload as strictly as its strictest verifier.

    Raises:
        PayloadMalformedError: it is not what it is said to be, or not about one sha256 digest.
    """
    try:
        return _READERS[encoding](payload)
    except PayloadMalformedError:
        raise
    except SignatureInvalidError as error:
        raise PayloadMalformedError(str(error)) from error


def _simplesigning(payload: bytes) -> Claim:
    said = simplesigning.parse_payload(payload)
    return Claim(said.unverified_digest, payload, name=_named(said.unverified_identity))


def _statement(payload: bytes) -> Claim:
    content = _inside_pae(payload)
    said = intoto.parse_statement(content)
    if said.unverified_type not in STATEMENT_TYPES:
        raise PayloadMalformedError("the statement is of another type than in-toto's")
    kind = _predicate_type(said)
    match said.unverified_subjects:
        case [only] if only.unverified_digests.keys() == {"sha256"}:
            pass
        case _:
            raise PayloadMalformedError("the statement is not about exactly one sha256 subject")
    try:
        digest = Digest.parse(f"sha256:{only.unverified_digests['sha256']}")
    except ValueError as error:
        raise PayloadMalformedError("the subject's digest is no sha256") from error
    return Claim(
        digest,
        content,
        predicate_type=kind,
        name=_named(only.unverified_name),
    )


def _predicate_type(said: intoto.UnverifiedStatement) -> PredicateType | None:
    """Return the type of what is attested, or None for the statement of a signature."""
    if said.unverified_predicate_type == COSIGN_SIGN:
        if said.unverified_predicate:
            raise PayloadMalformedError("a signature's predicate says nothing, and this one does")
        return None
    try:
        return PredicateType.parse(said.unverified_predicate_type)
    except ValueError as error:
        raise PayloadMalformedError(f"its predicate type: {error}") from error


def _inside_pae(payload: bytes) -> bytes:
    """Return the statement inside; to be right, its encoding must come out as it went in."""
    kind = _PAE.match(payload)
    if kind is None:
        raise PayloadMalformedError("not a pre-authentication encoding (DSSE)")
    _, _, content = payload[kind.end() + len(dsse.IN_TOTO) + 1 :].partition(b" ")
    if dsse.pae(content) != payload:
        raise PayloadMalformedError(f"not the encoding of one {dsse.IN_TOTO}")
    return content


def _jws(payload: bytes) -> Claim:
    return _notation(payload, jws.read_message(payload))


def _cose(payload: bytes) -> Claim:
    return _notation(payload, cose.read_message(payload))


def _notation(message: bytes, said: tuple[Scheme, bytes]) -> Claim:
    scheme, content = said
    image, _ = envelope.parse_payload(content)
    return Claim(image.digest, message, scheme=scheme)


def _named(text: str | None) -> Reference | None:
    """Return the name as a reference; one that is none names nothing that policy could weigh."""
    if not text:
        return None
    try:
        return Reference.parse(text)
    except InvalidReferenceError:
        return None


_READERS: Final[Mapping[Encoding, Callable[[bytes], Claim]]] = MappingProxyType(
    {
        Encoding.SIMPLESIGNING: _simplesigning,
        Encoding.DSSE_PAE: _statement,
        Encoding.NOTATION_JWS: _jws,
        Encoding.NOTATION_COSE: _cose,
    }
)
_NOTATION: Final = MappingProxyType(
    {Encoding.NOTATION_JWS: form.JWS, Encoding.NOTATION_COSE: form.COSE}
)


@dataclass(frozen=True, slots=True)
class PayloadForm:
    """service.ports.formats.SignedForm for payloads of one encoding."""

    encoding: Encoding
    kind: OrderKind | None = None  # whoever made the payload brings the signature to its place

    @property
    def name(self) -> str:
        return f"{self.encoding}-payload"

    def scheme(self, version: KeyVersion) -> Scheme:
        """Return how verifiers of such signatures check them by default.

        Raises:
            UnsupportedFormatError: they take none by this key version, with the reason.
        """
        notation = _NOTATION.get(self.encoding)
        return bundle.SCHEMES[version.algorithm] if notation is None else notation.scheme(version)

    def message(self, payload: bytes, scheme: Scheme) -> bytes:
        return dsse.pae(payload) if self.encoding is Encoding.DSSE_PAE else payload

    def check(
        self,
        statement: Statement,
        payload: bytes,
        signature: bytes,
        *,
        version: KeyVersion,
        scheme: Scheme,
    ) -> None:
        """Read what was signed once more, and check the signature against the pinned key.

        Raises:
            SignatureInvalidError: PayloadMalformedError is a kind of it.
        """
        message = self.message(payload, scheme)
        claim = read(self.encoding, message)
        if claim.digest != statement.digest:
            raise SignatureInvalidError(f"the payload is about {claim.digest}")
        if claim.scheme not in (None, scheme):
            raise SignatureInvalidError(f"the payload asks for {claim.scheme}")
        public_key(version.public_key).verify(scheme, message, signature)

    def log_entry(
        self, payload: bytes, signature: bytes, *, public_key: bytes, scheme: Scheme
    ) -> bytes:
        """Return the entry over the exact bytes that were signed."""
        return hashedrekord(self.message(payload, scheme), signature, public_key)

    def value(self, signature: bytes, scheme: Scheme) -> bytes:
        """Return a signature as the envelope holds it: in Notary Project's ECDSA is r ‖ s."""
        return envelope.to_raw(scheme, signature) if self.encoding in _NOTATION else signature

    def chain(self, signature: Signature) -> tuple[bytes, ...]:
        """Return the certificates that go into the envelope, where any do."""
        return signature.chain if self.encoding in _NOTATION else ()

    def fingerprint(self, payload: bytes, scheme: Scheme) -> str:
        return sha256(self.message(payload, scheme)).hexdigest()


PAYLOAD_FORMS: Final = MappingProxyType({each: PayloadForm(each) for each in Encoding})

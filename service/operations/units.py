"""What a request is made of once its bytes are fixed (step 5 of the signing cycle)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from service.domain.digests import Descriptor, Digest
from service.domain.errors import HSMUnavailableError, ServiceError
from service.domain.keys import KeyVersion, Scheme
from service.domain.signing import Signature, Statement


@dataclass(frozen=True, slots=True, eq=False)
class Unit:
    """One signature to be made: an image, a format and a key version. Equal only to itself."""

    item: int
    statement: Statement
    statement_hash: str
    version: KeyVersion
    scheme: Scheme
    payload: bytes
    subject: Descriptor | None = None
    """The image as its registry describes it; needed where the signature is to be attached."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """One item of the request, ready to be signed, or the error that ends it."""

    index: int
    shown: str
    item_id: str | None
    digest: Digest | None = None
    descriptor: Descriptor | None = None
    """As far as the registry or the caller has told."""
    platform: str | None = None
    units: tuple[Unit, ...] = ()
    children: tuple[Prepared, ...] = ()
    """With `recursive`: the manifests of an index, however deep, each once."""
    error: ServiceError | None = None


def units_of(prepared: Iterable[Prepared]) -> Iterator[Unit]:
    """Yield the units of the items and of everything in them."""
    for item in prepared:
        yield from item.units
        yield from units_of(item.children)


def signatures_of(
    units: Sequence[Unit], made: Mapping[Unit, Signature | ServiceError]
) -> tuple[Signature, ...] | ServiceError:
    """Return what one item has come to: its signatures, or the first error that ends it.

    Versions of a key that stand side by side lie on tokens that do not fail together: where
    one of them cannot be reached, a signature of the same format by another is enough. No
    other failure is forgiven, for it would mean that something is wrong, and not just away.
    """
    results = [made[unit] for unit in units]
    failures = [result for result in results if isinstance(result, ServiceError)]
    signed = tuple(result for result in results if isinstance(result, Signature))
    if not failures:
        return signed
    formats = {signature.statement.format for signature in signed}
    for unit, result in zip(units, results, strict=True):
        if isinstance(result, HSMUnavailableError) and unit.statement.format in formats:
            continue
        if isinstance(result, ServiceError):
            return result
    return signed

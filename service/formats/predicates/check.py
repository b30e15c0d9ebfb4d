"""From what a caller sent to the predicate that is signed: checked, and its bytes fixed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from service.domain.attestations import Predicate, PredicateType
from service.domain.errors import InvalidPredicateError
from service.domain.limits import MAX_PREDICATE_BYTES
from service.formats import strictjson
from service.formats.predicates import cyclonedx, openvex, slsa, spdx, vuln
from service.formats.predicates.faults import Faults

_SHOWN: Final = 3  # faults in the text; all of them are in `errors`

# cosign names the first of each pair; in-toto's own lists add a version to some.
_CHECKS: Final[tuple[tuple[str, Callable[[Mapping[str, Any]], Faults]], ...]] = (
    ("https://slsa.dev/provenance/v1", slsa.faults_of),
    ("https://spdx.dev/Document", spdx.faults_of),
    ("https://spdx.dev/Document/v", spdx.faults_of),
    ("https://cyclonedx.org/bom", cyclonedx.faults_of),
    ("https://cyclonedx.org/bom/v", cyclonedx.faults_of),
    ("https://cosign.sigstore.dev/attestation/vuln/v1", vuln.faults_of),
    ("https://openvex.dev/ns", openvex.faults_of),
    ("https://openvex.dev/ns/v", openvex.faults_of),
)
"""URIs; one that ends in `/v` begins all those with a version behind it."""


def checked_predicate(kind: PredicateType, value: Mapping[str, Any]) -> Predicate:
    """Return the predicate with the bytes that will be signed.

    Raises:
        InvalidPredicateError: too large, not Unicode text, or not what its type says.
    """
    try:
        content = strictjson.dump_plain(value)
    except strictjson.StrictJSONError as error:
        raise InvalidPredicateError(str(error)) from error
    if len(content) > MAX_PREDICATE_BYTES:
        text = f"the predicate has {len(content)} bytes, more than {MAX_PREDICATE_BYTES}"
        raise InvalidPredicateError(text, errors={"predicate": [text]})
    check = _check_of(kind)
    faults = {} if check is None else check(value)
    if faults:
        named = {_named(place): texts for place, texts in faults.items()}
        told = [f"{place}: {texts[0]}" for place, texts in named.items()]
        more = f" and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
        raise InvalidPredicateError(" ".join(told[:_SHOWN]) + more, errors=named)
    return Predicate(kind, content)


def _named(place: str) -> str:
    return f"predicate.{place}" if place else "predicate"


def _check_of(kind: PredicateType) -> Callable[[Mapping[str, Any]], Faults] | None:
    for uri, check in _CHECKS:
        if kind.uri == uri or (uri.endswith("/v") and kind.uri.startswith(uri)):
            return check
    return None

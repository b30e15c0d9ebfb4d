"""What holds for a whole request: its key, its formats, its annotations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from service.domain.callers import Caller
from service.domain.errors import (
    ForbiddenError,
    InvalidRequestError,
    KeyNotFoundError,
    KeyNotNamedError,
    KeyNotUsableError,
    UnsupportedFormatError,
)
from service.domain.keys import Key, Purpose
from service.domain.limits import (
    MAX_ANNOTATION_KEY_CHARS,
    MAX_ANNOTATION_VALUE_CHARS,
    MAX_ANNOTATIONS,
    MAX_PAGE,
)
from service.domain.pages import PageRequest
from service.domain.signing import RESERVED_ANNOTATION_PREFIX
from service.operations.decide import require
from service.policy.signing import may_sign_at_all, usable_keys
from service.ports.formats import SignatureFormat
from service.ports.store import KeyCatalog

DEFAULT_FORMATS: Final = ("cosign", "bundle")
"""Both: where an image carries anybody's bundle, cosign 2.6 and 3 look at no `.sig` signature."""


def choose_key(keys: KeyCatalog, caller: Caller, name: str | None, purpose: Purpose) -> Key:
    """Return the key to sign with: the one named, or the only one that the caller may use.

    Raises:
        ForbiddenError: first of all, and so nobody else learns which keys there are.
        KeyNotFoundError, KeyNotNamedError, KeyNotUsableError.
    """
    require(may_sign_at_all(caller))
    if name is not None:
        key = keys.get(name)
        if key is None:
            raise KeyNotFoundError(f"there is no key {name!r}")
    else:
        everything = keys.list(purpose, PageRequest(MAX_PAGE)).items
        choices = usable_keys(caller, everything, purpose)
        if not everything:
            raise KeyNotFoundError(f"there is no key for {purpose} yet: a custodian makes one")
        if not choices:
            raise ForbiddenError(f"the credential covers no key for {purpose}")
        if len(choices) != 1:
            names = ", ".join(key.name for key in choices)
            raise KeyNotNamedError(f"the credential covers several keys for {purpose}: {names}")
        key = choices[0]
    if not usable_keys(caller, (key,), key.purpose):
        raise ForbiddenError(f"the credential does not cover the key {key.name}")
    if key.purpose is not purpose:
        raise KeyNotUsableError(f"{key.name} is a key for {key.purpose}, not for {purpose}")
    if not key.active():
        raise KeyNotUsableError(f"no version of {key.name} is active")
    return key


def choose_formats(
    formats: Mapping[str, SignatureFormat], wanted: tuple[str, ...] | None, key: Key
) -> tuple[SignatureFormat, ...]:
    """Return the formats to sign in, each of which fits every active version of the key.

    Raises:
        UnsupportedFormatError: with the reason, and before the HSM is touched.
        InvalidRequestError: none is asked for.
    """
    names = DEFAULT_FORMATS if wanted is None else dict.fromkeys(wanted)
    unknown = [name for name in names if name not in formats]
    if unknown:
        known = ", ".join(sorted(formats))
        raise UnsupportedFormatError(f"unknown: {', '.join(unknown)}; known: {known}")
    if not names:
        raise InvalidRequestError("no format is asked for", errors={"formats": ["empty"]})
    chosen = tuple(formats[name] for name in names)
    for form in chosen:
        for version in key.active():
            form.scheme(version)
    return chosen


def checked_annotations(annotations: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return the annotations sorted.

    Raises:
        InvalidRequestError: too many, too long, empty names, or names that are ours.
    """
    faults: dict[str, object] = {}
    if len(annotations) > MAX_ANNOTATIONS:
        faults["annotations"] = [f"more than {MAX_ANNOTATIONS}"]
    for name, value in annotations.items():
        if name.startswith(RESERVED_ANNOTATION_PREFIX):
            faults[name[:100]] = [f"names beginning {RESERVED_ANNOTATION_PREFIX} are ours"]
        elif not name or len(name) > MAX_ANNOTATION_KEY_CHARS:
            faults[name[:100]] = [f"a name has 1 to {MAX_ANNOTATION_KEY_CHARS} characters"]
        elif len(value) > MAX_ANNOTATION_VALUE_CHARS:
            faults[name] = [f"a value has at most {MAX_ANNOTATION_VALUE_CHARS} characters"]
    if faults:
        raise InvalidRequestError("the annotations cannot be signed", errors=faults)
    return tuple(sorted(annotations.items()))

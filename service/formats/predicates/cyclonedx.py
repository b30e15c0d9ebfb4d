"""CycloneDX bills of materials in JSON, by the schemas and the library of the CycloneDX project.

The library compares each item of a list with every other, so a list is shown to it in pieces:
of 10,000 components it takes a second or two instead of minutes. That two items of different
pieces are equal goes unnoticed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from service.formats.predicates.faults import MAX_FAULTS, Faults, add, place_of

if TYPE_CHECKING:
    from cyclonedx.validation.json import JsonValidator

PIECE: Final = 100
MAX_INNER_ITEMS: Final = 400_000
"""Of lists within the items, their lengths squared and added: about a second of comparing."""


def faults_of(predicate: Mapping[str, Any]) -> Faults:
    from cyclonedx.schema import SchemaVersion  # noqa: PLC0415 - few processes see one

    faults: Faults = {}
    if predicate.get("bomFormat") != "CycloneDX":
        add(faults, "bomFormat", "Not `CycloneDX`.")
    known = {version.to_version(): version for version in SchemaVersion}
    version = known.get(str(predicate.get("specVersion")))
    if version is None:
        add(faults, "specVersion", f"Not one of {', '.join(sorted(known))}.")
    if faults or version is None:
        return faults
    try:
        validator = _validator(version.to_version())
    except (NotImplementedError, ValueError):
        add(faults, "specVersion", "A version without a JSON form.")
        return faults
    for start, piece in _pieces(predicate):
        if _inner_items(piece) > MAX_INNER_ITEMS:
            continue  # nobody waits for the library's answer about such a one
        for error in validator.validate_str(json.dumps(piece), all_errors=True) or ():
            path = list(error.data.absolute_path)
            if start and len(path) > 1 and isinstance(path[1], int):
                path[1] += start
            add(faults, place_of(path), error.data.message[:200])
            if len(faults) == MAX_FAULTS:
                return faults
    return faults


def _pieces(predicate: Mapping[str, Any]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield documents that together hold everything, each with the index it begins at."""
    lists = {
        name: value
        for name, value in predicate.items()
        if isinstance(value, list) and len(value) > PIECE
    }
    yield 0, {**predicate, **{name: value[:PIECE] for name, value in lists.items()}}
    frame = {
        name: predicate[name]
        for name in ("bomFormat", "specVersion", "version", "$schema")
        if name in predicate
    }
    for name, value in lists.items():
        for start in range(PIECE, len(value), PIECE):
            yield start, {**frame, name: value[start : start + PIECE]}


def _inner_items(piece: Mapping[str, Any]) -> int:
    """Return what comparing the lists within costs, in comparisons."""
    cost = 0
    todo: list[Any] = [
        item for value in piece.values() if isinstance(value, list) for item in value
    ]
    todo += [value for value in piece.values() if isinstance(value, dict)]
    while todo:
        value = todo.pop()
        if isinstance(value, dict):
            todo.extend(value.values())
        elif isinstance(value, list):
            if value and isinstance(value[0], dict | list):
                cost += len(value) ** 2
            todo.extend(value)
    return cost


@lru_cache
def _validator(version: str) -> JsonValidator:
    """Return the validator of a version; it reads its schema once."""
    from cyclonedx.schema import SchemaVersion  # noqa: PLC0415
    from cyclonedx.validation.json import JsonValidator  # noqa: PLC0415

    made = JsonValidator(SchemaVersion.from_version(version))
    made.validate_str("{}")
    return made

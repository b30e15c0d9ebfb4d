"""Faults of a predicate, each with the place where it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

Faults = dict[str, list[str]]
"""What is wrong, by place: `runDetails.builder.id`, `components[3].type`, or `` for the whole."""

MAX_FAULTS: Final = 20  # whoever mends twenty asks again
MISSING: Final = "Missing."


def add(faults: Faults, place: str, text: str) -> None:
    if len(faults) < MAX_FAULTS:
        faults.setdefault(place, []).append(text)


def place_of(path: Iterable[str | int]) -> str:
    """Return the place at the end of a path of names and indexes."""
    place = ""
    for part in path:
        place += f"[{part}]" if isinstance(part, int) else f".{part}" if place else part
    return place


def text_at(
    faults: Faults, holder: Mapping[str, Any], name: str, within: str = "", *, required: bool = True
) -> None:
    """Ask for a text that is not empty; one that is not required may be empty, or null."""
    value = holder.get(name)
    place = f"{within}.{name}" if within else name
    if value is None:
        if required:
            add(faults, place, MISSING)
    elif not isinstance(value, str):
        add(faults, place, "Not a text.")
    elif required and not value:
        add(faults, place, "Empty.")


def moment_at(
    faults: Faults, holder: Mapping[str, Any], name: str, within: str = "", *, required: bool = True
) -> None:
    """Ask for a time of RFC 3339."""
    value = holder.get(name)
    place = f"{within}.{name}" if within else name
    if value is None:
        if required:
            add(faults, place, MISSING)
        return
    try:
        good = isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        good = False
    if not good:
        add(faults, place, "Not a time of RFC 3339 with its offset.")


def object_at(
    faults: Faults, holder: Mapping[str, Any], name: str, within: str = "", *, required: bool = True
) -> Mapping[str, Any]:
    """Return the object of this name; an empty one where it is missing, or something else."""
    value = holder.get(name)
    place = f"{within}.{name}" if within else name
    if isinstance(value, Mapping):
        return value
    if value is not None:
        add(faults, place, "Not an object.")
    elif required:
        add(faults, place, MISSING)
    return {}

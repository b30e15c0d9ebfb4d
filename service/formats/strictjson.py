"""JSON as the field's Go programs write it, and as its strict readers read it.

Written: as `encoding/json.Marshal` of Go 1.22 and later (compact, `<`, `>`, `&`, U+2028 and
U+2029 escaped). Read: UTF-8 only, one value, no duplicate names (RFC 8259, section 4, leaves
them undefined, so two readers may see two documents), no NaN, no lone surrogates.
"""

from __future__ import annotations

import json
from typing import Any

_HTML = str.maketrans(
    {"<": r"\u003c", ">": r"\u003e", "&": r"\u0026", "\u2028": r"\u2028", "\u2029": r"\u2029"}
)


class StrictJSONError(ValueError):
    """The text is not JSON, or JSON that readers may understand in two ways."""


def dump(value: object) -> bytes:
    """Return the bytes that Go's json.Marshal gives for `value`, names in the order given.

    Raises:
        StrictJSONError: a string holds a lone surrogate, which UTF-8 cannot carry.
    """
    # The five characters mean nothing to JSON outside strings, so they can be replaced
    # in the finished text.
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    try:
        return text.translate(_HTML).encode()
    except UnicodeEncodeError as error:
        raise StrictJSONError("a string is not Unicode text") from error


def load(content: bytes) -> Any:
    """Parse one JSON document.

    Raises:
        StrictJSONError: see the class.
    """
    try:
        value = json.loads(content.decode(), object_pairs_hook=_unique, parse_constant=_no_constant)
        # Escapes can smuggle in half a surrogate pair, exponents an infinity: neither could
        # be written again.
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except StrictJSONError:
        raise
    except (ValueError, RecursionError) as error:
        raise StrictJSONError("not JSON in UTF-8") from error
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise StrictJSONError("a name occurs twice in one object")
    return members


def _no_constant(name: str) -> Any:
    raise StrictJSONError(f"{name} is not JSON")

"""Reading JSON from outside: strict, bounded, and the same for everyone who reads it.

RFC 8259 leaves to the parser what two members of one name mean; we refuse them, as we refuse
NaN, lone surrogates and bytes behind the value (RFC 7493, I-JSON), so that no proxy in front
can have understood another request than the one that is signed.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Final

import orjson
from flask import Request

from service.domain.errors import BodyTooLargeError, MalformedBodyError, UnsupportedMediaTypeError
from service.domain.limits import MAX_BODY_BYTES

READ_AT_MOST: Final = MAX_BODY_BYTES + 1


class _DuplicateNameError(ValueError):
    """An object names a member twice."""


def read_object(request: Request) -> dict[str, object]:
    """Return the body as a JSON object.

    Raises:
        UnsupportedMediaTypeError, BodyTooLargeError, MalformedBodyError.
    """
    return parse_object(read_raw(request, "application/json", most=MAX_BODY_BYTES))


def read_raw(request: Request, media_type: str, *, most: int) -> bytes:
    """Return the body, which must be of this media type and of at most so many bytes.

    Raises:
        UnsupportedMediaTypeError, BodyTooLargeError.
    """
    if request.mimetype != media_type:
        raise UnsupportedMediaTypeError
    # Refused by its announced length before a byte is read.
    if (request.content_length or 0) > most:
        raise BodyTooLargeError
    # A body of unannounced length is silently cut off by werkzeug at READ_AT_MOST, one byte
    # past the limit, so that a longer one shows.
    raw = request.get_data(cache=False)
    if len(raw) > most:
        raise BodyTooLargeError
    return raw


def parse_object(raw: bytes) -> dict[str, object]:
    """Raises MalformedBodyError unless `raw` is exactly one JSON object."""
    try:
        value = orjson.loads(raw)
        json.loads(raw, object_pairs_hook=_refuse_duplicates)
    except _DuplicateNameError as error:
        raise MalformedBodyError("an object in the body names a member twice") from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise MalformedBodyError(f"the body is not JSON: {error.msg}, {where}") from error
    except (ValueError, RecursionError) as error:
        raise MalformedBodyError from error
    if not isinstance(value, dict):
        raise MalformedBodyError("the body is JSON, but not an object")
    return value


def _refuse_duplicates(pairs: list[tuple[str, object]]) -> None:
    if len({name for name, _ in pairs}) != len(pairs):
        raise _DuplicateNameError


def body_hash(body: dict[str, object]) -> str:
    """Return the hex SHA-256 of the body with its members sorted: spacing and order are no difference."""
    return sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()

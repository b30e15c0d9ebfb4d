"""Fields stricter than marshmallow's own: no guessing of what a caller may have meant."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from marshmallow import ValidationError, fields, validate

from service.domain.digests import Digest
from service.domain.limits import MAX_NAME_CHARS
from service.domain.pages import PageRequest

MAX_CURSOR_CHARS: Final = 512  # ours are far shorter
DIGEST_PATTERN: Final = "^sha256:[0-9a-f]{64}$"
NAME_PATTERN: Final = "^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$"
_RFC3339: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})", re.ASCII
)
_EARLIEST: Final = datetime(1970, 1, 2, tzinfo=UTC)  # a day of room for every offset
_LATEST: Final = datetime(9999, 12, 30, tzinfo=UTC)


def about(text: str) -> dict[str, str]:
    return {"description": text}


def printable(value: str) -> None:
    """Raises ValidationError for control characters: they forge log lines, and stores refuse NUL."""
    if not value.isprintable():
        raise ValidationError("Must not hold control characters.")


def text(description: str, *, most: int, least: int = 1, required: bool = False) -> fields.String:
    """Return a field for one line of text."""
    return fields.String(
        required=required,
        validate=[validate.Length(least, most), printable],
        metadata=about(description),
    )


def name(description: str, *, required: bool = False) -> fields.String:
    """Return a field for a name. The pattern is documentation: the domain parses names."""
    return fields.String(
        required=required,
        validate=[validate.Length(1, MAX_NAME_CHARS), printable],
        metadata={**about(description), "pattern": NAME_PATTERN},
    )


class StrictBoolean(fields.Boolean):
    """JSON's own true and false; not 1, "yes" or "true"."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> bool:
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return value


class Flag(fields.Boolean):
    """`true` or `false` in a query."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> bool:
        if value not in {"true", "false"}:
            raise self.make_error("invalid", input=value)
        return bool(value == "true")


class Count(fields.Integer):
    """A whole number in a query, in plain ASCII digits."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", value):
            raise self.make_error("invalid", input=value)
        return int(value)


class Moment(fields.AwareDateTime):
    """A time of RFC 3339 (section 5.6), with its offset, in a range that every part can hold."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> datetime:
        if not isinstance(value, str) or not _RFC3339.fullmatch(value):
            raise ValidationError("Not a time of RFC 3339 with its offset.")
        try:
            moment = datetime.fromisoformat(value.upper())
        except ValueError as error:
            raise ValidationError("No such date or time.") from error
        if not _EARLIEST <= moment <= _LATEST:
            raise ValidationError("Out of range.")
        return moment


class DigestField(fields.Field[Digest]):
    """`sha256:` and 64 lower-case hex digits."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> Digest:
        if not isinstance(value, str):
            raise ValidationError("Not a sha256 digest.")
        try:
            return Digest.parse(value)
        except ValueError as error:
            raise ValidationError("Not a sha256 digest.") from error


def page_request(query: Mapping[str, Any]) -> PageRequest:
    return PageRequest(limit=query["limit"], cursor=query.get("cursor"))


def unique(what: str) -> Callable[[list[Any]], None]:
    def check(values: list[Any]) -> None:
        if len(set(values)) != len(values):
            raise ValidationError(f"Names a {what} twice.")

    return check

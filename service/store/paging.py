"""Pages and filters. A cursor names the last row that was seen, so that rows which are added
or changed meanwhile neither repeat nor hide others.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from sqlalchemy import ColumnElement, Row, Table, false

from service.domain.clock import to_millis
from service.domain.errors import InvalidRequestError
from service.domain.limits import MAX_PAGE
from service.domain.pages import Page, PageRequest
from service.ports.store import SignatureFilter

T = TypeVar("T")

_NUMBER: Final = re.compile(r"[0-9]{1,18}")  # fits the databases' 64 bits
_NAME: Final = re.compile(r"[ -~]{1,256}")


def limit_of(page: PageRequest) -> int:
    return max(1, min(page.limit, MAX_PAGE))


def number_after(page: PageRequest) -> int | None:
    """Raises InvalidRequestError if the cursor is none of ours."""
    text = _decoded(page, _NUMBER)
    return None if text is None else int(text)


def name_after(page: PageRequest) -> str | None:
    """Raises InvalidRequestError if the cursor is none of ours."""
    return _decoded(page, _NAME)


def page_of(
    rows: Sequence[Row[Any]],
    page: PageRequest,
    build: Callable[[Row[Any]], T],
    position: Callable[[Row[Any]], int | str],
) -> Page[T]:
    """Make a page of rows that were read with one more than the limit, to know of a next."""
    limit = limit_of(page)
    shown = rows[:limit]
    more = _encoded(position(shown[-1])) if len(rows) > limit else None
    return Page(tuple(build(row) for row in shown), more)


def conditions(table: Table, wanted: SignatureFilter) -> list[ColumnElement[bool]]:
    """Translate a filter for `signatures` or `intents`: they share these columns."""
    columns = table.c
    found: list[ColumnElement[bool]] = []
    if wanted.repository is not None:
        found.append(columns.repository == wanted.repository)
    if wanted.digest is not None:
        found.append(columns.digest == wanted.digest.hex)
    if wanted.key is not None:
        found.append(columns.key == wanted.key)
    if wanted.since is not None:
        found.append(columns.created_at >= to_millis(wanted.since))
    if wanted.credential_id is not None:
        found.append(columns.credential_id == wanted.credential_id)
    if wanted.repositories is not None:
        found.append(
            columns.repository.regexp_match(pattern_regex(wanted.repositories))
            if wanted.repositories
            else false()
        )
    return found


def pattern_regex(patterns: Sequence[str]) -> str:
    """Return what `service.policy.patterns` means, as both databases' regular expressions.

    Only constructs that Python's `re` (which SQLite is lent) and PostgreSQL's ARE read alike.
    """
    translated = {"**": ".*", "*": "[^/]*"}
    branches = (
        "".join(
            translated.get(part) or re.sub(r"([^A-Za-z0-9])", r"\\\1", part)
            for part in re.split(r"(\*\*|\*)", pattern)
        )
        for pattern in patterns
    )
    return f"^(?:{'|'.join(branches)})$"


def _encoded(position: int | str) -> str:
    return base64.urlsafe_b64encode(str(position).encode()).decode().rstrip("=")


def _decoded(page: PageRequest, shape: re.Pattern[str]) -> str | None:
    if page.cursor is None:
        return None
    try:
        padded = page.cursor + "=" * (-len(page.cursor) % 4)
        text = base64.urlsafe_b64decode(padded.encode()).decode()
    except (binascii.Error, ValueError):
        text = ""
    if not shape.fullmatch(text):
        raise InvalidRequestError(
            "the cursor is not one that a page gave", errors={"cursor": ["not a cursor"]}
        )
    return text

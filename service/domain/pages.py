"""Lists that are read page by page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from service.domain.limits import DEFAULT_PAGE

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PageRequest:
    """`cursor` is opaque to callers: it is what the page before said in `next`."""

    limit: int = DEFAULT_PAGE
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    items: tuple[T, ...]
    next: str | None = None

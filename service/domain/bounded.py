"""Reading what others send: to its end, and no further and no longer than it may take."""

from __future__ import annotations

from typing import Final, Protocol

from service.domain.clock import Clock

_CHUNK_BYTES: Final = 64 * 1024


class Unbounded(Exception):  # noqa: N818 - a fact about an answer; callers make an error of it
    """It is longer or slower than it may be. The text goes behind the name of whoever sent it."""


class Source(Protocol):
    def read1(self, size: int) -> bytes:
        """Return what has arrived; nothing at the end."""
        ...


def read(source: Source, *, most: int, until: float, clock: Clock) -> bytes:
    """Return all of `source`, unless it has more than `most` bytes or goes on after `until`.

    Raises:
        Unbounded, and what `source` raises.
    """
    parts: list[bytes] = []
    size = 0
    # `read` would wait for a full chunk, and so for as long as somebody keeps sending single bytes.
    while part := source.read1(_CHUNK_BYTES):
        size += len(part)
        if size > most:
            raise Unbounded(f"sent more than the {most} bytes that are read")
        if clock.monotonic() > until:
            raise Unbounded("is too slow")
        parts.append(part)
    return b"".join(parts)

"""What a log sends to a witness, and what that answers (C2SP tlog-witness, `add-checkpoint`)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from service.translog.errors import MalformedError
from service.translog.notes import base64_text

MAX_PROOF: Final = 63
_SIZE: Final = re.compile(rb"(0|[1-9][0-9]{0,18})\n")


def request_body(old: int, proof: Sequence[bytes], note: str) -> bytes:
    """Return the request for a cosignature on a checkpoint that grew from a tree of size `old`."""
    if len(proof) > MAX_PROOF:
        raise ValueError("a proof of consistency is never so long")
    lines = [f"old {old}", *map(base64_text, proof)]
    return ("\n".join(lines) + "\n\n" + note).encode()


def parse_size(content: bytes) -> int:
    """Return the size that a witness says to have cosigned last. Raises MalformedError."""
    match = _SIZE.fullmatch(content)
    if match is None:
        raise MalformedError("not the size of a tree")
    return int(match[1])

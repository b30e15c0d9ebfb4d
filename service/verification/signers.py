"""Which of our key versions has made a signature."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from service.domain.keys import KeyVersion
from service.domain.public_keys import SignatureInvalidError


def signer_of(
    keys: Sequence[KeyVersion], verify: Callable[[KeyVersion], None]
) -> KeyVersion | None:
    """Return the version under which `verify` raises no SignatureInvalidError, None if none."""
    for key in keys:
        try:
            verify(key)
        except SignatureInvalidError:
            continue
        return key
    return None

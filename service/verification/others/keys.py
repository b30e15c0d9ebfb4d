"""Which foreign key has made a signature."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from service.policy.trust import ForeignKey
from service.verification.sigstore.keys import VerifyingKey, WrongSignatureError


def signed_by(keys: Sequence[ForeignKey], message: bytes, signature: bytes) -> ForeignKey | None:
    """Return the key under which it verifies: over SHA-256, or the hash of the key's kind."""
    for one in keys:
        try:
            _verifying(one.key.der).verify(message, signature)
        except WrongSignatureError:
            continue
        return one
    return None


@lru_cache(maxsize=256)
def _verifying(der: bytes) -> VerifyingKey:
    return VerifyingKey.parse(der)

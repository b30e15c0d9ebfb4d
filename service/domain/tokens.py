"""Bearer tokens: how they are made, and what of them is stored.

A token is `sw_` and the base32 of 32 random bytes. Only its SHA-256 is stored. A plain,
fast hash is enough here, unlike for passwords: slow, salted hashes defend secrets that can
be guessed, and 256 random bits cannot, so whoever steals the hashes has nothing to try. The
prefix lets secret scanners find a token that ended up where it should not be.
"""

from __future__ import annotations

import base64
import re
import secrets
from hashlib import sha256
from typing import Final

_RANDOM_BYTES: Final = 32
_TOKEN: Final = re.compile(r"sw_[a-z2-7]{52}")


def new_token() -> tuple[str, str]:
    """Return a fresh token and the hash to store; the token itself is shown once and kept nowhere."""
    random = secrets.token_bytes(_RANDOM_BYTES)
    token = "sw_" + base64.b32encode(random).decode().rstrip("=").lower()
    return token, hash_token(token)


def hash_token(token: str) -> str:
    """Return the hex SHA-256 under which a token is looked up."""
    return sha256(token.encode()).hexdigest()


def is_well_formed(unverified_token: str) -> bool:
    """Whether this could be a token at all: what cannot be one costs no look-up."""
    return _TOKEN.fullmatch(unverified_token) is not None

"""Identifiers that we make: a prefix that tells the kind, and 120 random bits."""

from __future__ import annotations

import base64
import secrets


def new_id(prefix: str) -> str:
    """Return e.g. `sig_k5w2…`: unguessable, safe in a path, never reused."""
    return f"{prefix}_{base64.b32encode(secrets.token_bytes(15)).decode().lower()}"

"""What belongs to the one request that is being answered."""

from __future__ import annotations

import secrets
from typing import cast

from flask import g


def begin() -> None:
    """Give the request an id: our own and 128 random bits, so that none can be forged or repeated."""
    g.request_id = secrets.token_hex(16)


def request_id() -> str:
    return cast("str", g.request_id)

"""What belongs to the one request that is being answered."""

from __future__ import annotations

import secrets
from typing import Final, cast

from flask import current_app, g, request

from service.domain.addresses import client_address

PROXIES: Final = "TRUSTED_PROXIES"


def begin() -> None:
    """Give the request an id: our own and 128 random bits, so that none can be forged or repeated."""
    g.request_id = secrets.token_hex(16)


def address() -> str:
    """Return whose request it is; empty where it came through a Unix socket."""
    forwarded = request.headers.get("X-Forwarded-For", "")
    return client_address(request.remote_addr or "", forwarded, current_app.config[PROXIES])


def request_id() -> str:
    return cast("str", g.request_id)

"""How answers are written: orjson, and the headers that every one of them carries."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import orjson
from flask import Flask, Response

from service.web.context import request_id

JSON: Final = "application/json"

SECURITY_HEADERS: Final = MappingProxyType(
    {
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
        # Answers are about one caller and one moment; public pages say otherwise themselves.
        "Cache-Control": "no-store",
    }
)


def answer(
    body: object,
    status: int = 200,
    *,
    content_type: str = JSON,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return `body` as JSON."""
    return Response(
        orjson.dumps(body), status, content_type=content_type, headers=dict(headers or {})
    )


def text(
    body: str | bytes, content_type: str, *, headers: Mapping[str, str] | None = None
) -> Response:
    return Response(body, content_type=content_type, headers=dict(headers or {}))


def init_app(app: Flask) -> None:
    def finish(response: Response) -> Response:
        headers = response.headers
        for name, value in SECURITY_HEADERS.items():
            if name not in headers:
                headers[name] = value
        headers["X-Request-Id"] = request_id()
        return response

    app.after_request(finish)

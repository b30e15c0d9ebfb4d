"""What the service counts, for Prometheus (public)."""

from __future__ import annotations

from typing import Final

from flask import Response

from service.web.responses import text
from service.web.routing import Answer, Call, Routes

routes = Routes("metrics", "What the service counts, in the Prometheus text format.")

_TEXT: Final = "text/plain"
_CONTENT_TYPE: Final = f"{_TEXT}; version=0.0.4; charset=utf-8"


@routes.add(
    "GET",
    "/metrics",
    summary="Counters and gauges of all processes of this service",
    public=True,
    answers={200: Answer("The Prometheus text format, 0.0.4.", {_TEXT: None})},
)
def show_metrics(call: Call) -> Response:
    return text(call.operations.metrics.text(), _CONTENT_TYPE)

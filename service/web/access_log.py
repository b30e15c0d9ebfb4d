"""Each request is counted, and gets a line: what was asked, by whom, from where, how it ended.
Never what it said.
"""

from __future__ import annotations

import logging
import time
from typing import cast

from flask import Flask, Response, g, request

from service.operations import Operations
from service.web.context import address, request_id
from service.web.routing import EXTENSION

log = logging.getLogger(__name__)


def init_app(app: Flask) -> None:
    def begin() -> None:
        g.began = time.perf_counter()

    def end(response: Response) -> Response:
        seconds = time.perf_counter() - g.began
        # The rule and not the path: a path may hold whatever somebody typed.
        route = None if request.url_rule is None else request.url_rule.rule
        cast("Operations", app.extensions[EXTENSION]).metrics.answered(
            method=request.method, route=route, status=response.status_code, seconds=seconds
        )
        if log.isEnabledFor(logging.INFO):
            log.info(
                "request.done",
                extra={
                    "request_id": request_id(),
                    "method": request.method,
                    "route": route,
                    "status": response.status_code,
                    "milliseconds": round(seconds * 1000, 1),
                    "credential": g.get("credential"),
                    "address": address(),
                },
            )
        return response

    app.before_request(begin)
    app.after_request(end)

"""One line for each request: what was asked, by whom, and how it ended. Never what it said."""

from __future__ import annotations

import logging
import time

from flask import Flask, Response, g, request

from service.web.context import request_id

log = logging.getLogger(__name__)


def init_app(app: Flask) -> None:
    def begin() -> None:
        g.began = time.perf_counter()

    def end(response: Response) -> Response:
        if log.isEnabledFor(logging.INFO):
            rule = request.url_rule
            log.info(
                "request.done",
                extra={
                    "request_id": request_id(),
                    "method": request.method,
                    # The rule and not the path: a path may hold whatever somebody typed.
                    "route": None if rule is None else rule.rule,
                    "status": response.status_code,
                    "milliseconds": round((time.perf_counter() - g.began) * 1000, 1),
                    "credential": g.get("credential"),
                },
            )
        return response

    app.before_request(begin)
    app.after_request(end)

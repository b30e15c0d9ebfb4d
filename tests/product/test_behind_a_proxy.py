"""Whose address a served request has, when a proxy of ours passes it on and when somebody pretends."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path

from tests.support.product import Product, dev_environment
from tests.support.serving import serving

FORWARDED = "203.0.113.9, 198.51.100.7"


def address_told(started: Product, log: Path) -> Callable[[dict[str, str]], str]:
    """Return a function that calls with these headers and returns the access log's address."""

    def ask(headers: dict[str, str]) -> str:
        answer = started.call("GET", f"/v1/keys/{uuid.uuid4().hex}", who=None, headers=headers)
        wanted = answer.headers["X-Request-Id"]
        lines = [line for line in log.read_text().splitlines() if wanted in line]
        return str(json.loads(lines[-1])["address"])

    return ask


def test_the_address_comes_from_a_proxy_that_is_named_and_from_nobody_else(
    product: Product, tmp_path: Path
) -> None:
    env = {**dev_environment(product), "SEALWRIGHT_LOG_LEVEL": "INFO"}
    named = {**env, "SEALWRIGHT_TRUSTED_PROXIES": "127.0.0.0/8"}
    (tmp_path / "named").mkdir()
    with serving(product, tmp_path / "named", named, ready="/healthz") as (started, _):
        told = address_told(started, tmp_path / "named" / "log")
        assert told({"X-Forwarded-For": FORWARDED}) == "198.51.100.7"
        assert told({}) == "127.0.0.1"
        # gunicorn would take this for the same variable, had nobody told it not to.
        assert told({"X_Forwarded_For": FORWARDED}) == "127.0.0.1"
    (tmp_path / "alone").mkdir()
    with serving(product, tmp_path / "alone", env, ready="/healthz") as (started, _):
        told = address_told(started, tmp_path / "alone" / "log")
        assert told({"X-Forwarded-For": FORWARDED}) == "127.0.0.1"

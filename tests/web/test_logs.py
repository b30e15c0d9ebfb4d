from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient

from service.domain.callers import Role
from service.web.logs import JSONFormatter
from tests.support.edge import IMAGE
from tests.support.operations import World


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JSONFormatter())
    # Threads that other tests have started may still have something to say.
    this_thread = threading.get_ident()
    handler.addFilter(lambda record: record.thread == this_thread)
    log = logging.getLogger("service")
    before = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    yield stream
    log.removeHandler(handler)
    log.setLevel(before)


def test_each_request_is_one_line_with_what_an_operator_needs(
    web: FlaskClient, builder: dict[str, str], lines: io.StringIO
) -> None:
    answer = web.get("/v1/signatures/sig_none", headers=builder)
    [line] = [json.loads(text) for text in lines.getvalue().splitlines()]
    assert line["event"] == "request.done"
    assert line["request_id"] == answer.headers["X-Request-Id"]
    assert (line["method"], line["status"]) == ("GET", 404)
    assert line["route"] == "/v1/signatures/<signature_id>"
    assert (line["credential"], line["address"]) == ("cred_builder", "127.0.0.1")
    assert line["milliseconds"] >= 0
    assert (line["level"], line["time"][-1]) == ("info", "Z")


def test_neither_tokens_nor_bodies_nor_queries_nor_paths_are_logged(
    web: FlaskClient, world: World, builder: dict[str, str], lines: io.StringIO
) -> None:
    body = {"images": [{"reference": IMAGE, "id": "confidential"}]}
    answer = web.post("/v1/signatures?confidential=1", json=body, headers=builder)
    web.post("/v1/signatures", json=body, headers=builder)
    web.get("/confidential")
    assert answer.status_code == 422
    assert len(lines.getvalue().splitlines()) == 3
    for secret in (world.bearer[Role.BUILDER], "confidential", IMAGE):
        assert secret not in lines.getvalue()


def test_whatever_a_fact_holds_an_event_stays_one_line(lines: io.StringIO) -> None:
    log = logging.getLogger("service.test")
    log.info("event", extra={"fact": 'a"b\nc\u2028d', "thing": object})
    log.error("failed", exc_info=ValueError("two\nlines"))
    first, second = lines.getvalue().splitlines()
    assert json.loads(first)["fact"] == 'a"b\nc\u2028d'
    assert "ValueError: two\nlines" in json.loads(second)["exception"]

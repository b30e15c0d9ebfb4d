"""What is counted of each request, and who may see it."""

from __future__ import annotations

from flask.testing import FlaskClient

from service.domain.errors import StoreUnavailableError
from tests.support.operations import World


def test_every_request_is_counted_by_route_and_status(
    web: FlaskClient, world: World, builder: dict[str, str]
) -> None:
    web.get("/v1/signatures/sig_one", headers=builder)
    web.get("/v1/signatures/sig_two", headers=builder)
    web.get("/v1/signatures/sig_two")
    web.get("/v1/keys/release")
    figures = world.meter.figures
    route = "/v1/signatures/<signature_id>"
    assert figures["sealwright_http_requests_total", "GET", route, "404"] == 2
    assert figures["sealwright_http_requests_total", "GET", route, "401"] == 1
    assert figures["sealwright_http_requests_total", "GET", "/v1/keys/<name>", "200"] == 1
    assert figures["sealwright_http_request_seconds_count", route] == 3


def test_what_a_caller_types_never_becomes_a_label(web: FlaskClient, world: World) -> None:
    web.get("/confidential")
    web.open("/confidential-too", method="FANTASY")
    web.open("/healthz", method="FANTASY")
    assert {key[1:] for key in world.meter.figures} == {
        ("none", "none", "404"),
        ("none", "none", "405"),
    }


def test_anybody_may_read_the_figures_as_plain_text(web: FlaskClient, world: World) -> None:
    world.gauges.waiting = 3
    web.get("/healthz")
    answer = web.get("/metrics")
    assert answer.status_code == 200
    assert answer.content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert "sealwright_outbox_orders waiting 3\n" in answer.text
    assert "sealwright_http_requests_total GET /healthz 200 1\n" in answer.text


def test_a_gauge_that_cannot_be_read_is_left_out_and_nothing_else(
    web: FlaskClient, world: World
) -> None:
    world.gauges.fault = StoreUnavailableError()
    web.get("/healthz")
    answer = web.get("/metrics")
    assert answer.status_code == 200
    assert "sealwright_outbox_orders" not in answer.text
    assert "/healthz" in answer.text

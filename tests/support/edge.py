"""Fixtures of the edge: the application over operations in memory, in process or listening."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.serving import WSGIRequestHandler, make_server

from service.domain.callers import Role
from service.web import create_app
from tests.support.operations import World, new_world

HEX = "0123456789abcdef" * 4
IMAGE = f"registry.example.com/team/app@sha256:{HEX}"


@pytest.fixture
def world() -> World:
    return new_world()


@pytest.fixture
def app(world: World) -> Flask:
    return create_app(world.operations, version="1.2.3")


@pytest.fixture
def web(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def builder(world: World) -> dict[str, str]:
    return world.authorization(Role.BUILDER)


class QuietHandler(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002 - werkzeug's name
        return None


@dataclass(frozen=True, slots=True)
class Listening:
    url: str
    world: World


@pytest.fixture
def listening(app: Flask, world: World) -> Iterator[Listening]:
    """The application on a free port of loopback, until the test ends."""
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=QuietHandler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield Listening(f"http://127.0.0.1:{server.server_port}", world)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

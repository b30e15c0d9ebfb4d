"""The Flask application: a function of the operations it serves, with no state of its own."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from flask import Flask

from service.domain.addresses import Network
from service.domain.serving import EVERY_ROLE, ServerRole
from service.operations import Operations
from service.web import access_log, context, openapi, problems, responses
from service.web.api import RESOURCES
from service.web.api.documentation import DOCUMENT
from service.web.bodies import READ_AT_MOST
from service.web.routing import EXTENSION, register


def create_app(
    operations: Operations,
    *,
    version: str,
    roles: frozenset[ServerRole] = EVERY_ROLE,
    proxies: Sequence[Network] = (),
) -> Flask:
    """Return the WSGI application that serves what of `operations` belongs to `roles`.

    `proxies` are believed who is behind.
    """
    # No static folder: every path is declared in service.web.api and nowhere else.
    app = Flask("service.web", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = READ_AT_MOST
    app.config[context.PROXIES] = tuple(proxies)
    app.config["VERSION"] = version
    # Made when somebody asks for it: what it takes meanwhile would stay in the worker's memory.
    app.config[DOCUMENT] = partial(openapi.to_json, version)
    app.extensions[EXTENSION] = operations
    app.url_map.strict_slashes = False
    app.before_request(context.begin)
    # Flask runs these in the reverse order: the log sees the finished answer.
    access_log.init_app(app)
    responses.init_app(app)
    problems.init_app(app)
    for routes in RESOURCES:
        for endpoint in routes.endpoints:
            register(app, endpoint, roles)
    return app

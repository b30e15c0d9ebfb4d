"""The API's description, and a browser for it that works offline (public).

Swagger UI comes from the installed package `flask-swagger-ui`, which follows its releases;
the page loads nothing from elsewhere, and the policy would not let it.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Final

from flask import Response, current_app, render_template, request

from service.domain import errors
from service.web.responses import JSON, text
from service.web.routing import Answer, Call, Routes
from service.web.schemas.documentation import OpenAPISchema

routes = Routes("documentation", "The description of this API.")

DOCUMENT: Final = "OPENAPI_DOCUMENT"
_PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_SWAGGER_UI: Final = "flask_swagger_ui"
_OURS: Final = {
    "start.js": "text/javascript; charset=utf-8",
    "pages.css": "text/css; charset=utf-8",
}
_THEIRS: Final = {
    "swagger-ui.css": "text/css; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "favicon-32x32.png": "image/png",
}


@routes.add(
    "GET",
    "/openapi.json",
    summary="This document",
    public=True,
    answers={200: Answer("OpenAPI 3.1.", {"application/json": OpenAPISchema})},
)
def show_document(call: Call) -> Response:
    headers = {"Cache-Control": "public, max-age=60"}
    return text(current_app.config[DOCUMENT](), JSON, headers=headers)


@routes.add(
    "GET",
    "/docs",
    summary="The documentation, for people",
    public=True,
    answers={200: Answer("A page.", {"text/html": None})},
)
def show_page(call: Call) -> Response:
    return text(
        render_template("docs.html"),
        "text/html",
        headers={"Content-Security-Policy": _PAGE_POLICY},
    )


@routes.add(
    "GET",
    "/docs/<name>",
    summary="What the documentation is made of",
    public=True,
    answers={
        200: Answer("A file.", {"text/javascript": None, "text/css": None, "image/png": None})
    },
    errors=(errors.NotFoundError,),
)
def show_asset(call: Call, name: str) -> Response:
    if name in _OURS:
        path, content_type = files("service.web") / "static" / name, _OURS[name]
    elif name in _THEIRS:
        path, content_type = files(_SWAGGER_UI) / "dist" / name, _THEIRS[name]
    else:
        raise errors.NotFoundError
    response = text(path.read_bytes(), content_type, headers={"Cache-Control": "max-age=3600"})
    response.add_etag()
    response.make_conditional(request)
    return response

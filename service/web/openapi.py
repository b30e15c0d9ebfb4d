"""`openapi.yaml`, generated from the declarations that run (OpenAPI 3.1).

The same endpoints that are registered are described, so a path can neither be missing here
nor stand here alone; a test compares the committed file with this.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final, cast

import orjson
import yaml
from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from marshmallow import Schema

from service.web.api import RESOURCES
from service.web.problems import PROBLEM_TYPE, STATUS
from service.web.routing import Answer, Endpoint
from service.web.schemas.common import ProblemSchema
from service.web.schemas.signing import SignatureSchema, UnknownOutcomeSchema

_BINARY: Final = frozenset({"application/octet-stream", "application/pkcs10"})
_PATH_PART: Final = re.compile(r"<(?:(?P<kind>\w+):)?(?P<name>\w+)>")
_REQUEST_ID: Final = {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}}
_RETRY_AFTER: Final = {"Retry-After": {"$ref": "#/components/headers/Retry-After"}}


@lru_cache(maxsize=1)
def to_json(version: str) -> bytes:
    """Return the description as `/openapi.json` serves it."""
    return orjson.dumps(document(version))


def document(version: str) -> dict[str, Any]:
    """Return the whole description as a JSON value."""
    plugin = MarshmallowPlugin(schema_name_resolver=_schema_name)
    spec = APISpec(
        title="Sealwright",
        version=version,
        openapi_version="3.1.0",
        plugins=[plugin],
        info={
            "description": "HSM-backed signing of container images. Errors are RFC 9457 "
            "problem documents; their `code` is stable, and `/problems/{code}` explains it.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        security=[{"bearer": []}],
    )
    spec.components.security_scheme("bearer", {"type": "http", "scheme": "bearer"})
    spec.components.header(
        "X-Request-Id",
        {
            "description": "Finds the request in the log.",
            "required": True,
            "schema": {"type": "string"},
        },
    )
    spec.components.header(
        "Retry-After",
        {
            "description": "Seconds after which a retry makes sense.",
            "schema": {"type": "integer", "minimum": 1},
        },
    )
    # Named by hand elsewhere, where a list may hold either.
    for schema in (SignatureSchema, UnknownOutcomeSchema):
        spec.components.schema(_schema_name(schema), schema=schema)
    for routes in RESOURCES:
        spec.tag({"name": routes.tag, "description": routes.description})
        for endpoint in routes.endpoints:
            path, parameters = _path(endpoint)
            spec.path(
                path=path,
                operations={endpoint.method.lower(): _operation(endpoint, parameters)},
            )
    # Through JSON and back: apispec hands on ordered dicts and the domain's enumerations, and
    # what is served, written and compared shall be the same plain values.
    return cast("dict[str, Any]", orjson.loads(orjson.dumps(spec.to_dict())))


def to_yaml(version: str) -> str:
    """Return the description as the text of `openapi.yaml`."""
    return yaml.safe_dump(document(version), sort_keys=False, allow_unicode=True, width=100)


def _schema_name(schema: Any) -> str:
    kind = schema if isinstance(schema, type) else type(schema)
    return str(kind.__name__).removesuffix("Schema")


def _path(endpoint: Endpoint) -> tuple[str, list[dict[str, Any]]]:
    parameters = [
        {
            "in": "path",
            "name": part["name"],
            "required": True,
            "description": f"The {part['name'].replace('_', ' ')}.",
            "schema": {"type": "integer", "minimum": 0}
            if part["kind"] == "int"
            else {"type": "string", "minLength": 1},
        }
        for part in _PATH_PART.finditer(endpoint.path)
    ]
    return _PATH_PART.sub(r"{\g<name>}", endpoint.path), parameters


def _operation(endpoint: Endpoint, parameters: list[dict[str, Any]]) -> dict[str, Any]:
    everything: list[dict[str, Any]] = list(parameters)
    if endpoint.query is not None:
        everything.append({"in": "query", "schema": endpoint.query})
    everything += [
        {
            "in": "header",
            "name": name,
            "required": False,
            "description": description,
            "schema": {"type": "string"},
        }
        for name, description in endpoint.headers.items()
        # OpenAPI 3.1, Parameter Object: Accept is told by the answers' content, not here.
        if name != "Accept"
    ]
    operation: dict[str, Any] = {
        "operationId": endpoint.name.replace(".", "_"),
        "summary": endpoint.summary,
        "tags": [endpoint.tag],
        "parameters": everything,
        "responses": _responses(endpoint),
    }
    if endpoint.public:
        operation["security"] = []
    if endpoint.body is not None:
        operation["requestBody"] = {
            "required": endpoint.body_required,
            "content": {"application/json": {"schema": endpoint.body}},
        }
    elif endpoint.raw_body is not None:
        binary = {"type": "string", "format": "binary"}
        operation["requestBody"] = {
            "required": True,
            "content": {endpoint.raw_body: {"schema": binary}},
        }
    return operation


def _responses(endpoint: Endpoint) -> dict[str, Any]:
    responses = {
        str(status): _answer(status, described) for status, described in endpoint.answers.items()
    }
    titles: dict[HTTPStatus, list[str]] = {}
    for kind in endpoint.errors:
        titles.setdefault(STATUS[kind], []).append(f"{kind.title} (`{kind.code}`).")
    if not endpoint.public:
        titles[HTTPStatus.UNAUTHORIZED] = ["A valid credential is needed (`unauthenticated`)."]
        titles.setdefault(HTTPStatus.TOO_MANY_REQUESTS, []).append(
            "The credential calls too often (`rate-limited`)."
        )
    for status, texts in sorted(titles.items()):
        if str(int(status)) not in responses:
            responses[str(int(status))] = _problem(" ".join(texts), status)
    responses["default"] = _problem("Any other failure.", None)
    return responses


def _answer(status: int, described: Answer) -> dict[str, Any]:
    return {
        "description": described.description,
        "headers": _headers(status),
        "content": {
            content_type: {"schema": _content(content_type, schema)}
            for content_type, schema in described.content.items()
        },
    }


def _content(content_type: str, schema: type[Schema] | tuple[type[Schema], ...] | None) -> Any:
    match schema:
        case None:
            pass
        case (single,):
            return single
        case tuple():
            return {"oneOf": list(schema)}
        case _:
            return schema
    # OpenAPI 3.1, 4.8.14.1: binary content is described by its media type alone.
    is_binary = content_type.startswith("image/") or content_type in _BINARY
    return {} if is_binary else {"type": "string"}


def _problem(description: str, status: int | None) -> dict[str, Any]:
    return {
        "description": description,
        "headers": _headers(status),
        "content": {PROBLEM_TYPE: {"schema": ProblemSchema}},
    }


def _headers(status: int | None) -> Mapping[str, Any]:
    return {**_REQUEST_ID, **(_RETRY_AFTER if status in {409, 429, 503} else {})}

"""How a path becomes an authenticated call: the only way that anything is served.

Each endpoint is declared once, with what it takes and answers; the declaration is what runs
and what `openapi.yaml` is generated from, so the two cannot differ. Whoever does not write
`public=True` gets an endpoint that needs a credential: the check stands here, before the
handler, its query and its body are looked at.

marshmallow and apispec are used directly: flask-smorest, which joins them, costs 160 µs a
request, and its decorators are untyped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

from flask import Flask, Response, current_app, g, request
from marshmallow import Schema

from service.domain.callers import Caller
from service.domain.errors import (
    InvalidRequestError,
    NotFoundError,
    NotServedHereError,
    ServiceError,
    UnauthenticatedError,
)
from service.domain.serving import EVERY_ROLE, ServerRole
from service.operations import Operations
from service.ports.identity import Presented
from service.web import bodies

EXTENSION: Final = "sealwright"
MAX_QUERY_VALUE_CHARS: Final = 2048  # a reference with room; cursors are shorter


@dataclass(frozen=True, slots=True)
class Answer:
    """One documented answer: its media types, each with its schema.

    None is plain text; of several schemas the answer fits one.
    """

    description: str
    content: Mapping[str, type[Schema] | tuple[type[Schema], ...] | None]


def in_json(description: str, *schemas: type[Schema]) -> Answer:
    return Answer(description, {"application/json": schemas})


@dataclass(frozen=True, slots=True)
class Endpoint:
    method: str
    path: str
    name: str
    tag: str
    handler: Callable[..., Response]
    summary: str
    answers: Mapping[int, Answer]
    roles: frozenset[ServerRole] = EVERY_ROLE
    """Which processes serve it."""
    public: bool = False
    query: type[Schema] | None = None
    body: type[Schema] | None = None
    body_required: bool = True
    raw_body: str | None = None
    """The media type of a body that is not JSON; it has no schema then."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Request headers of this call, with what they mean."""
    errors: tuple[type[ServiceError], ...] = ()


@dataclass(frozen=True, slots=True)
class Call:
    """One request, authenticated as its endpoint says, on its way through a handler."""

    operations: Operations
    endpoint: Endpoint
    _caller: Caller | None
    _query: Mapping[str, str]

    @property
    def caller(self) -> Caller:
        if self._caller is None:
            raise RuntimeError("a public endpoint has no caller")  # a bug, never an answer
        return self._caller

    def caller_if_any(self) -> Caller | None:
        """Return who calls a public endpoint that shows more to some; None if nobody says.

        Raises:
            UnauthenticatedError: a credential was presented and does not hold. Silence
                about that would look like missing rights.
        """
        presented = _presented()
        if presented.unverified_bearer is None:
            return None
        return self.operations.authenticator.authenticate(presented)

    def query(self) -> Any:
        """Return the query as the endpoint's schema loads it."""
        return _load(self.endpoint.query, self._query)

    def raw(self, *, most: int) -> bytes:
        """Return a body that is not JSON, of the media type that the endpoint names.

        Raises:
            UnsupportedMediaTypeError, BodyTooLargeError.
        """
        if self.endpoint.raw_body is None:
            raise RuntimeError("the endpoint declares no such body")
        return bodies.read_raw(request, self.endpoint.raw_body, most=most)

    def json(self) -> dict[str, object]:
        return bodies.read_object(request)

    def body(self) -> Any:
        """Return the body as the endpoint's schema loads it; none is an empty one where it may be."""
        if not self.endpoint.body_required and not _has_body():
            return _load(self.endpoint.body, {})
        return _load(self.endpoint.body, self.json())

    def load(self, body: dict[str, object]) -> Any:
        """As `body`, for a handler that needs the raw object too."""
        return _load(self.endpoint.body, body)


def _has_body() -> bool:
    # RFC 9112, 6: a message has one if either of these says so.
    return bool(request.content_length) or "Transfer-Encoding" in request.headers


def _load(schema: type[Schema] | None, values: object) -> Any:
    if schema is None:
        raise RuntimeError("the endpoint declares no schema for what it reads")
    return _instance(schema).load(cast("Mapping[str, Any]", values))


_instances: dict[type[Schema], Schema] = {}


def _instance(schema: type[Schema]) -> Schema:
    """Schemas are stateless and dear to build (200 µs), so one of each serves all threads."""
    found = _instances.get(schema)
    if found is None:
        found = _instances[schema] = schema()
    return found


class Routes:
    """The endpoints of one resource, in the order of their declaration.

    A resource is served by one role; without a `role` every process serves it.
    """

    def __init__(self, tag: str, description: str, *, role: ServerRole | None = None) -> None:
        self.tag = tag
        self.description = description
        self._roles = EVERY_ROLE if role is None else frozenset({role})
        self.endpoints: list[Endpoint] = []

    def add(
        self,
        method: str,
        path: str,
        *,
        summary: str,
        answers: Mapping[int, Answer],
        roles: frozenset[ServerRole] | None = None,
        public: bool = False,
        query: type[Schema] | None = None,
        body: type[Schema] | None = None,
        body_required: bool = True,
        raw_body: str | None = None,
        headers: Mapping[str, str] | None = None,
        errors: tuple[type[ServiceError], ...] = (),
    ) -> Callable[[Callable[..., Response]], Callable[..., Response]]:
        """Declare the decorated function as the handler of `method` and `path`.

        `roles` are others than those of the resource.
        """

        def declare(handler: Callable[..., Response]) -> Callable[..., Response]:
            self.endpoints.append(
                Endpoint(
                    method=method,
                    path=path,
                    name=f"{self.tag}.{handler.__name__}",
                    tag=self.tag,
                    handler=handler,
                    summary=summary,
                    answers=answers,
                    roles=self._roles if roles is None else roles,
                    public=public,
                    query=query,
                    body=body,
                    body_required=body_required,
                    raw_body=raw_body,
                    headers=headers or {},
                    errors=errors,
                )
            )
            return handler

        return declare


def register(app: Flask, endpoint: Endpoint, roles: frozenset[ServerRole]) -> None:
    """Serve the endpoint in a process of these `roles`, or tell there who serves it."""
    is_served = bool(endpoint.roles & roles)

    def view(**parts: str | int) -> Response:
        if not is_served:
            raise NotServedHereError(
                f"{endpoint.method} {endpoint.path} is served by processes of the role "
                f"{_listed(endpoint.roles)}; this one has {_listed(roles)}"
            )
        operations = cast("Operations", current_app.extensions[EXTENSION])
        caller = None
        if not endpoint.public:
            caller = operations.authenticator.authenticate(_presented())
            g.credential = caller.credential_id  # for the access log
            operations.rates.call(caller)
        _check_path(parts)
        call = Call(operations, endpoint, caller, _checked_query(endpoint))
        return endpoint.handler(call, **parts)

    app.add_url_rule(
        endpoint.path,
        endpoint.name,
        view,
        methods=[endpoint.method],
        provide_automatic_options=False,
    )


def _listed(roles: frozenset[ServerRole]) -> str:
    return ", ".join(sorted(roles))


def _presented() -> Presented:
    """Return the bearer token of the Authorization header (RFC 6750, 2.1), if there is one.

    Raises:
        UnauthenticatedError: there is such a header, of another scheme.
    """
    header = request.headers.get("Authorization")
    if header is None:
        return Presented()
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer":
        raise UnauthenticatedError
    return Presented(unverified_bearer=token.strip())


def _check_path(parts: Mapping[str, str | int]) -> None:
    # No name of ours holds a control character, and PostgreSQL cannot even be asked for NUL.
    if not all(str(part).isprintable() for part in parts.values()):
        raise NotFoundError


def _checked_query(endpoint: Endpoint) -> dict[str, str]:
    """Return the query, each name once: a name that the endpoint does not know is refused.

    A misspelt filter must not silently show everything.
    """
    known = _instance(endpoint.query).load_fields if endpoint.query is not None else {}
    known_names = {field.data_key or name for name, field in known.items()}
    query: dict[str, str] = {}
    faults: dict[str, object] = {}
    for name, values in request.args.lists():
        if name not in known_names:
            faults[name[:100]] = ["Unknown field."]
        elif len(values) > 1:
            faults[name] = ["Given more than once."]
        elif len(values[0]) > MAX_QUERY_VALUE_CHARS or not values[0].isprintable():
            faults[name] = ["Too long, or holds control characters."]
        else:
            query[name] = values[0]
    if faults:
        raise InvalidRequestError("the query does not fit its schema", errors=faults)
    return query

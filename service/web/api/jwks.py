"""Every public key that counts, where tools look for it (RFC 8615, RFC 7517 section 5)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from flask import Response

from service.domain.keys import Key
from service.domain.limits import MAX_PAGE
from service.domain.pages import PageRequest
from service.operations import Operations
from service.web import dump
from service.web.responses import answer
from service.web.routing import Answer, Call, Routes
from service.web.schemas.keys import JWKSetSchema

routes = Routes("jwks", "All public keys at once.")

JWK_SET: Final = "application/jwk-set+json"


@routes.add(
    "GET",
    "/.well-known/jwks.json",
    summary="Every version that still counts, of every key",
    public=True,
    answers={200: Answer("A JWK set.", {JWK_SET: JWKSetSchema})},
)
def show_key_set(call: Call) -> Response:
    trusted = [
        dump.jwk(version)
        for key in _every_key(call.operations)
        for version in key.versions
        if version.trusted
    ]
    return answer({"keys": trusted}, content_type=JWK_SET, headers={"Cache-Control": "no-cache"})


def _every_key(operations: Operations) -> Iterator[Key]:
    cursor: str | None = None
    while True:
        page = operations.keys.list(None, PageRequest(MAX_PAGE, cursor))
        yield from page.items
        cursor = page.next
        if cursor is None:
            return

"""Signing keys and their public halves. Reading is public; where keys lie is not."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from flask import Response, request

from service.domain import errors
from service.domain.callers import Caller
from service.domain.keys import KeyVersion
from service.domain.lifecycle import version_of
from service.domain.public_keys import public_key
from service.policy.decisions import Allow
from service.policy.roles import Action, may
from service.web import dump
from service.web.responses import answer, text
from service.web.routing import Answer, Call, Routes, in_json
from service.web.schemas.fields import page_request
from service.web.schemas.keys import (
    JWKSchema,
    JWKSetSchema,
    KeyPageSchema,
    KeyQuery,
    KeySchema,
    KeyVersionSchema,
    PublicKeyQuery,
)

routes = Routes("keys", "Signing keys and their public halves.")

PEM: Final = "application/x-pem-file"
JWK: Final = "application/jwk+json"
JWK_SET: Final = "application/jwk-set+json"
PGP: Final = "application/pgp-keys"
_VARIES: Final = {"Cache-Control": "no-cache", "Vary": "Accept"}


def _sees_custody(caller: Caller | None) -> bool:
    """Whether the caller may know where keys lie and what tokens say of them."""
    return caller is not None and isinstance(may(caller, Action.SEE_CUSTODY), Allow)


@routes.add(
    "GET",
    "/v1/keys",
    summary="List keys",
    public=True,
    query=KeyQuery,
    answers={200: in_json("A page of keys.", KeyPageSchema)},
    errors=(errors.InvalidRequestError,),
)
def list_keys(call: Call) -> Response:
    query, with_custody = call.query(), _sees_custody(call.caller_if_any())
    found = call.operations.keys.list(query.get("purpose"), page_request(query))
    if with_custody:
        found = replace(found, items=tuple(call.operations.keys.located(found.items)))
    return answer(dump.page(found, lambda key: dump.key(key, with_custody=with_custody)))


@routes.add(
    "GET",
    "/v1/keys/<name>",
    summary="Show a key",
    public=True,
    answers={200: in_json("The key.", KeySchema)},
    errors=(errors.KeyNotFoundError,),
)
def show_key(call: Call, name: str) -> Response:
    with_custody = _sees_custody(call.caller_if_any())
    found = call.operations.keys.get(name)
    if with_custody:
        [found] = call.operations.keys.located([found])
    return answer(dump.key(found, with_custody=with_custody))


@routes.add(
    "GET",
    "/v1/keys/<name>/versions/<int:number>",
    summary="Show one version of a key",
    public=True,
    answers={200: in_json("The version.", KeyVersionSchema)},
    errors=(errors.KeyNotFoundError,),
)
def show_version(call: Call, name: str, number: int) -> Response:
    with_custody = _sees_custody(call.caller_if_any())
    found = call.operations.keys.get(name)
    version = version_of(found, name, number)
    if with_custody:
        [located] = call.operations.keys.located([replace(found, versions=(version,))])
        [version] = located.versions
    return answer(dump.key_version(version, with_custody=with_custody))


@routes.add(
    "GET",
    "/v1/keys/<name>/public-key",
    summary="The public key, as PEM or JWK by Accept",
    public=True,
    query=PublicKeyQuery,
    headers={"Accept": f"`{PEM}` (default), `{JWK}`, `{JWK_SET}` or `{PGP}`."},
    answers={
        200: Answer(
            "The newest active version, the one asked for, or with `all` every one that counts.",
            {PEM: None, JWK: JWKSchema, JWK_SET: JWKSetSchema, PGP: None},
        )
    },
    errors=(errors.KeyNotFoundError, errors.NotAcceptableError, errors.InvalidRequestError),
)
def show_public_key(call: Call, name: str) -> Response:
    query = call.query()
    wanted = _accepted()
    versions = call.operations.keys.public_keys(
        name, version=query.get("version"), every=query["all"]
    )
    if not versions:
        raise errors.KeyNotFoundError(f"key {name!r} has no version that could be shown")
    shown = versions if query["all"] else versions[-1:]
    if wanted == PGP:
        return text(call.operations.openpgp_keys.key_file(shown), PGP, headers=_VARIES)
    return _public_keys(shown, wanted, as_set=query["all"])


def _accepted() -> str:
    """Return the media type that Accept prefers (RFC 9110, 12.5.1); PEM where it does not say.

    Raises:
        NotAcceptableError: it names none that we can make.
    """
    if not request.accept_mimetypes:
        return PEM
    best = request.accept_mimetypes.best_match([PEM, JWK, JWK_SET, PGP])
    if best is None:
        raise errors.NotAcceptableError(f"this call answers as {PEM}, {JWK}, {JWK_SET} or {PGP}")
    return best


def _public_keys(versions: tuple[KeyVersion, ...], wanted: str, *, as_set: bool) -> Response:
    if wanted == PEM:
        return text("".join(public_key(v.public_key).pem() for v in versions), PEM, headers=_VARIES)
    keys = [dump.jwk(version) for version in versions]
    if as_set or wanted == JWK_SET:
        return answer({"keys": keys}, content_type=JWK_SET, headers=_VARIES)
    return answer(keys[0], content_type=JWK, headers=_VARIES)

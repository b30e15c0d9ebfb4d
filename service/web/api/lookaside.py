"""OpenPGP signatures where containers/image looks for them (containers-registries.d.5).

Two ways lead here: a lookaside, which clients are told of in registries.d, and the registry
extension (`X-Registry-Supports-Signatures`), which a proxy in front of the registry hands on.
"""

from __future__ import annotations

import re
from binascii import b2a_base64
from typing import Final

from flask import Response, request

from service.domain import errors
from service.domain.digests import Digest
from service.domain.references import Repository
from service.domain.serving import ServerRole
from service.web.responses import answer, text
from service.web.routing import Answer, Call, Routes, in_json
from service.web.schemas.lookaside import ExtensionSchema

routes = Routes("lookaside", "OpenPGP signatures, beside the registry.", role=ServerRole.VERIFY)

FILE: Final = "application/pgp-signature"
_PLACE: Final = re.compile(
    r"(?P<host>[^/@]+)/(?P<path>[^@]+)@sha256=(?P<hex>[0-9a-f]{64})/signature-(?P<number>[1-9][0-9]{0,3})"
)
_NOT_STORED: Final = {"Cache-Control": "no-cache"}


@routes.add(
    "GET",
    "/lookaside/<path:place>",
    summary="One signature of an image: HOST/REPOSITORY@sha256=HEX/signature-N",
    public=True,
    answers={200: Answer("An OpenPGP message.", {FILE: None})},
    errors=(errors.NotFoundError,),
)
def show_file(call: Call, place: str) -> Response:
    found = _PLACE.fullmatch(place)
    if found is None:
        raise errors.NotFoundError("the path is HOST/REPOSITORY@sha256=HEX/signature-N")
    repository = _repository(found["host"], found["path"])
    content = call.operations.lookaside.file(repository, Digest(found["hex"]), int(found["number"]))
    return text(content, FILE, headers=_NOT_STORED)


@routes.add(
    "GET",
    "/extensions/v2/<path:name>/signatures/<digest>",
    summary="Every signature of an image, for a proxy that keeps the registry's Host header",
    public=True,
    answers={200: in_json("The signatures.", ExtensionSchema)},
    errors=(errors.NotFoundError,),
)
def show_all(call: Call, name: str, digest: str) -> Response:
    try:
        wanted = Digest.parse(digest)
    except ValueError as error:
        raise errors.NotFoundError("not a sha256 digest") from error
    files = call.operations.lookaside.files(_repository(request.host, name), wanted)
    shown = [
        {
            "schemaVersion": 2,
            # 32 hexadecimal digits that tell signatures of one image apart.
            "name": f"{wanted}@{Digest.of(content).hex[:32]}",
            "type": "atomic",
            "content": b2a_base64(content, newline=False).decode("ascii"),
        }
        for content in files
    ]
    headers = {**_NOT_STORED, "X-Registry-Supports-Signatures": "1"}
    return answer({"signatures": shown}, headers=headers)


def _repository(host: str, path: str) -> Repository:
    try:
        return Repository.parse(f"{host}/{path}")
    except errors.InvalidReferenceError as error:
        raise errors.NotFoundError("not a repository") from error

"""The transparency log of signatures, as files that anybody may read (C2SP tlog-tiles)."""

from __future__ import annotations

from typing import Final

from flask import Response

from service.domain import errors
from service.domain.log import LogName
from service.domain.serving import ServerRole
from service.web import dump_log
from service.web.responses import answer, text
from service.web.routing import Answer, Call, Routes, in_json
from service.web.schemas.log import (
    CheckpointQuery,
    ConsistencyQuery,
    ConsistencySchema,
    InclusionQuery,
    InclusionSchema,
)

routes = Routes("log", "The transparency log of signatures.", role=ServerRole.VERIFY)

LOG: Final = LogName.SIGNATURES
PLAIN: Final = "text/plain; charset=utf-8"
BINARY: Final = "application/octet-stream"
FOR_A_MOMENT: Final = {"Cache-Control": "public, max-age=1"}
FOR_EVER: Final = {"Cache-Control": "public, max-age=31536000, immutable"}


@routes.add(
    "GET",
    "/v1/log/checkpoint",
    summary="The newest checkpoint, a signed note (C2SP tlog-checkpoint)",
    public=True,
    query=CheckpointQuery,
    answers={200: Answer("The checkpoint.", {PLAIN: None})},
    errors=(errors.NotFoundError, errors.InvalidRequestError),
)
def show_checkpoint(call: Call) -> Response:
    note = call.operations.log.checkpoint(LOG, cosigned=call.query()["cosigned"])
    return text(note, PLAIN, headers=FOR_A_MOMENT)


@routes.add(
    "GET",
    "/v1/log/tile/<path:tile>",
    summary="A tile of hashes, or a bundle of entries (C2SP tlog-tiles)",
    public=True,
    answers={200: Answer("The tile; it never changes.", {BINARY: None})},
    errors=(errors.NotFoundError,),
)
def show_tile(call: Call, tile: str) -> Response:
    return text(call.operations.log.tile(LOG, f"tile/{tile}"), BINARY, headers=FOR_EVER)


@routes.add(
    "GET",
    "/v1/log/trees/<name>/checkpoint",
    summary="The last checkpoint of the log that has or had this name, closed though it may be",
    public=True,
    answers={200: Answer("The checkpoint.", {PLAIN: None})},
    errors=(errors.NotFoundError,),
)
def show_checkpoint_of(call: Call, name: str) -> Response:
    note = call.operations.log.checkpoint(LOG, name=name)
    return text(note, PLAIN, headers=FOR_A_MOMENT)


@routes.add(
    "GET",
    "/v1/log/trees/<name>/tile/<path:tile>",
    summary="A tile of the log that has or had this name",
    public=True,
    answers={200: Answer("The tile; it never changes.", {BINARY: None})},
    errors=(errors.NotFoundError,),
)
def show_tile_of(call: Call, name: str, tile: str) -> Response:
    content = call.operations.log.tile(LOG, f"tile/{tile}", name=name)
    return text(content, BINARY, headers=FOR_EVER)


@routes.add(
    "GET",
    "/v1/log/proofs/inclusion",
    summary="Proof that an entry is in the tree of a size",
    public=True,
    query=InclusionQuery,
    answers={200: in_json("The proof.", InclusionSchema)},
    errors=(errors.NotFoundError, errors.InvalidRequestError),
)
def prove_inclusion(call: Call) -> Response:
    query = call.query()
    proof = call.operations.log.inclusion(
        LOG, index=query["index"], tree_size=query.get("tree_size")
    )
    return answer(dump_log.inclusion(proof))


@routes.add(
    "GET",
    "/v1/log/proofs/consistency",
    summary="Proof that the tree of one size grew from that of another",
    public=True,
    query=ConsistencyQuery,
    answers={200: in_json("The proof.", ConsistencySchema)},
    errors=(errors.NotFoundError, errors.InvalidRequestError),
)
def prove_consistency(call: Call) -> Response:
    query = call.query()
    proof = call.operations.log.consistency(LOG, old=query["old"], new=query.get("new"))
    return answer(dump_log.consistency(proof))

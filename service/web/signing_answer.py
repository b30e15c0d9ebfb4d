"""The answer to `POST /v1/signatures`: which status, and the results in the caller's order.

201: every item succeeded. 207: some failed. None succeeded: 503 if every failure is
retryable, else 422; a request of one image that failed answers with that problem itself.
With `on_failure: error` any failure gives 422 or 503, with the same body.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any

import orjson
from flask import Response

from service.domain.errors import ServiceError
from service.domain.signing import Artifact, Signature, SignedItem
from service.web import dump
from service.web.problems import RETRY_SECONDS, problem, retry_after, status_of
from service.web.responses import answer


def signing_answer(
    items: Sequence[SignedItem],
    artifact: Callable[[SignedItem, Signature], Artifact] | None,
    *,
    any_failure_fails: bool,
) -> Response:
    """Return the answer; `artifact`, where given, makes what the caller pushes by itself."""
    match items:
        case [SignedItem(error=ServiceError() as error)]:
            return problem(error)
        case _:
            pass
    status = signing_status(items, any_failure_fails=any_failure_fails)
    headers = {}
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        failures = (error for item in items for error in item.errors())
        headers["Retry-After"] = str(max(retry_after(error) or RETRY_SECONDS for error in failures))
    return answer(signing_body(items, artifact), status, headers=headers)


def signing_status(items: Sequence[SignedItem], *, any_failure_fails: bool) -> HTTPStatus:
    failures = [error for item in items for error in item.errors()]
    failed = sum(1 for item in items if any(item.errors()))
    if not failures:
        return HTTPStatus.CREATED
    if failed < len(items) and not any_failure_fails:
        return HTTPStatus.MULTI_STATUS
    if all(error.retryable for error in failures):
        return HTTPStatus.SERVICE_UNAVAILABLE
    return HTTPStatus.UNPROCESSABLE_ENTITY


def signing_body(
    items: Sequence[SignedItem], artifact: Callable[[SignedItem, Signature], Artifact] | None
) -> dict[str, Any]:
    failed = sum(1 for item in items if any(item.errors()))
    return {
        # Each is written at once: as Python's objects a thousand of them take 12 MB.
        "results": [orjson.Fragment(orjson.dumps(_item(item, artifact))) for item in items],
        "succeeded": len(items) - failed,
        "failed": failed,
    }


def _item(
    item: SignedItem, artifact: Callable[[SignedItem, Signature], Artifact] | None
) -> dict[str, Any]:
    signatures = [dump.made_signature(made) for made in item.signatures]
    if artifact is not None:
        for made, body in zip(item.signatures, signatures, strict=True):
            body["artifact"] = dump.artifact(artifact(item, made))
    return {
        "id": item.item_id,
        "reference": item.reference,
        "digest": None if item.digest is None else f"sha256:{item.digest.hex}",
        "signatures": signatures,
        "children": [
            {"platform": child.platform, **_item(child, artifact)} for child in item.children
        ],
        "error": None if item.error is None else item_error(item.error),
    }


def item_error(error: ServiceError) -> dict[str, Any]:
    return {
        "code": error.code,
        "detail": str(error),
        "status": status_of(error),
        "retryable": error.retryable,
    }

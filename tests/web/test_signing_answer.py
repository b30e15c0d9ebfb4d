"""What no request can bring about yet: items with children."""

from __future__ import annotations

import json

import pytest
from flask import Flask

from service.domain.digests import Digest
from service.domain.errors import HSMUnavailableError, PolicyDeniedError, ServiceError
from service.domain.signing import SignedItem
from service.web.signing_answer import signing_answer

GOOD = SignedItem("host/a", None, Digest.of(b""))


def index(*errors: ServiceError | None) -> SignedItem:
    children = tuple(SignedItem("host/a", None, Digest.of(b""), error=e) for e in errors)
    return SignedItem("host/a", "index", Digest.of(b""), children=children)


@pytest.mark.parametrize(
    ("items", "any_failure_fails", "status"),
    [
        ((index(None, None),), False, 201),
        ((index(None, PolicyDeniedError("no")), GOOD), False, 207),
        ((index(None, PolicyDeniedError("no")), GOOD), True, 422),
        ((index(None, HSMUnavailableError()), GOOD), True, 503),
        ((index(HSMUnavailableError()),), False, 503),
        ((index(HSMUnavailableError(), PolicyDeniedError("no")),), False, 422),
    ],
)
def test_a_failed_child_is_a_failure_of_its_index(
    app: Flask, *, items: tuple[SignedItem, ...], any_failure_fails: bool, status: int
) -> None:
    with app.test_request_context():
        app.preprocess_request()
        answer = signing_answer(items, None, any_failure_fails=any_failure_fails)
    body = json.loads(answer.data)
    assert answer.status_code == status
    assert body["failed"] == (0 if status == 201 else 1)
    assert body["succeeded"] + body["failed"] == len(items)
    assert [child["error"] is None for child in body["results"][0]["children"]] == [
        child.error is None for child in items[0].children
    ]


def test_the_longest_retry_after_of_the_failures_is_sent(app: Flask) -> None:
    items = [
        SignedItem("a", None, error=HSMUnavailableError(retry_after=2)),
        SignedItem("b", None, error=HSMUnavailableError(retry_after=9.5)),
    ]
    with app.test_request_context():
        app.preprocess_request()
        answer = signing_answer(items, None, any_failure_fails=False)
    assert answer.headers["Retry-After"] == "10"

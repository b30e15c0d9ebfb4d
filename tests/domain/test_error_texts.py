"""What errors say of themselves."""

from __future__ import annotations

import pytest

from service.domain.errors import InvalidRequestError, NotFoundError, every_error


def test_an_error_without_a_detail_says_its_cause() -> None:
    assert str(NotFoundError()) == NotFoundError.cause
    assert str(NotFoundError("no such finding")) == "no such finding"
    assert all(kind.cause != kind.title for kind in every_error())


@pytest.mark.parametrize(
    ("detail", "faults", "said"),
    [
        ("", {"images": ["Length must be 1 to 9."]}, "images: Length must be 1 to 9"),
        ("a date", {"since": ["in the future"]}, "a date: since: in the future"),
        ("since lies in the past", {"since": ["past"]}, "since lies in the past"),
        ("", {"images": {"0": {"y": ["Unknown field."]}}}, "images.0.y: Unknown field"),
        ("", {n: ["wrong"] for n in "abcde"}, "a: wrong; b: wrong; c: wrong; and 2 more"),
        ("", {"x" * 5000: ["y" * 5000]}, "x" * 100 + ": " + "y" * 200),
    ],
)
def test_a_request_that_does_not_fit_says_where(
    detail: str, faults: dict[str, object], said: str
) -> None:
    assert str(InvalidRequestError(detail, errors=faults)) == said

"""A page for each code of an error or a reason (public), from the one table of either.

Whoever follows the `type` of a problem document gets HTML; tools ask for JSON by Accept.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

from flask import Response, render_template, request

from service.domain import errors
from service.domain.errors import ServiceError, by_code, every_error
from service.domain.meanings import MEANINGS, Meaning
from service.web.problems import STATUS
from service.web.responses import answer, text
from service.web.routing import Answer, Call, Routes
from service.web.schemas.problem_pages import (
    ProblemPageListSchema,
    ProblemPageSchema,
    ReasonPageSchema,
)

routes = Routes("problems", "What each code means, and what to do about it.")

HTML: Final = "text/html"
JSON: Final = "application/json"
_HEADERS: Final = {
    "Cache-Control": "public, max-age=3600",
    "Vary": "Accept",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; frame-ancestors 'none'",
}


def _page(kind: type[ServiceError]) -> dict[str, Any]:
    return {
        "code": kind.code,
        "title": kind.title,
        "status": STATUS[kind],
        "cause": kind.cause,
        "cure": kind.cure,
        "retryable": kind.retryable,
    }


def _reason(code: str, meaning: Meaning) -> dict[str, Any]:
    return {"code": code, **asdict(meaning)}


def _wants_json() -> bool:
    accepted = request.accept_mimetypes
    return accepted[JSON] > accepted[HTML]


@routes.add(
    "GET",
    "/problems/",
    summary="Every code of an error or a reason",
    public=True,
    answers={200: Answer("All pages.", {HTML: None, JSON: ProblemPageListSchema})},
)
def list_problems(call: Call) -> Response:
    pages = sorted((_page(kind) for kind in every_error()), key=lambda page: str(page["code"]))
    reasons = [_reason(code, MEANINGS[code]) for code in sorted(MEANINGS)]
    if _wants_json():
        return answer({"items": pages, "reasons": reasons, "next": None}, headers=_HEADERS)
    shown = render_template("problems.html", pages=pages, reasons=reasons)
    return text(shown, HTML, headers=_HEADERS)


@routes.add(
    "GET",
    "/problems/<code>",
    summary="What one code means",
    public=True,
    answers={200: Answer("The page.", {HTML: None, JSON: (ProblemPageSchema, ReasonPageSchema)})},
    errors=(errors.NotFoundError,),
)
def show_problem(call: Call, code: str) -> Response:
    kind, meaning = by_code(code), MEANINGS.get(code)
    if kind is not None:
        page = _page(kind)
    elif meaning is not None:
        page = _reason(code, meaning)
    else:
        raise errors.NotFoundError(f"no error and no reason has the code {code[:100]!r}")
    if _wants_json():
        return answer(page, headers=_HEADERS)
    return text(render_template("problem.html", page=page), HTML, headers=_HEADERS)

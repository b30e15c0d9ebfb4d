"""A page for each error code (public), from the one table of errors.

Whoever follows the `type` of a problem document gets HTML; tools ask for JSON by Accept.
"""

from __future__ import annotations

from typing import Any, Final

from flask import Response, render_template, request

from service.domain import errors
from service.domain.errors import ServiceError, by_code, every_error
from service.web.problems import STATUS
from service.web.responses import answer, text
from service.web.routing import Answer, Call, Routes
from service.web.schemas.problem_pages import ProblemPageListSchema, ProblemPageSchema

routes = Routes("problems", "What each error code means, and what to do about it.")

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


def _wants_json() -> bool:
    accepted = request.accept_mimetypes
    return accepted[JSON] > accepted[HTML]


@routes.add(
    "GET",
    "/problems/",
    summary="Every error code",
    public=True,
    answers={200: Answer("All pages.", {HTML: None, JSON: ProblemPageListSchema})},
)
def list_problems(call: Call) -> Response:
    pages = sorted((_page(kind) for kind in every_error()), key=lambda page: str(page["code"]))
    if _wants_json():
        return answer({"items": pages, "next": None}, headers=_HEADERS)
    return text(render_template("problems.html", pages=pages), HTML, headers=_HEADERS)


@routes.add(
    "GET",
    "/problems/<code>",
    summary="What one error code means",
    public=True,
    answers={200: Answer("The page.", {HTML: None, JSON: ProblemPageSchema})},
    errors=(errors.NotFoundError,),
)
def show_problem(call: Call, code: str) -> Response:
    kind = by_code(code)
    if kind is None:
        raise errors.NotFoundError(f"no error has the code {code[:100]!r}")
    if _wants_json():
        return answer(_page(kind), headers=_HEADERS)
    return text(render_template("problem.html", page=_page(kind)), HTML, headers=_HEADERS)

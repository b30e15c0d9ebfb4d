from __future__ import annotations

import re
from dataclasses import asdict
from html.parser import HTMLParser

import pytest
from flask.testing import FlaskClient

from service.domain.errors import (
    HSMUnavailableError,
    StoreUnavailableError,
    every_error,
)
from service.domain.meanings import MEANINGS
from tests.support.operations import World

CODES = sorted(kind.code for kind in every_error())


class Links(HTMLParser):
    """Collects what a page loads or points to, and whether it holds inline code."""

    def __init__(self) -> None:
        super().__init__()
        self.urls: list[str] = []
        self.inline = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.urls += [given[name] or "" for name in ("src", "href", "data-url") if name in given]
        self.inline |= (tag == "script" and "src" not in given) or tag == "style"
        self.inline |= any(name.startswith("on") or name == "style" for name in given)


def links(html: str) -> Links:
    found = Links()
    found.feed(html)
    return found


def test_the_process_says_that_it_lives(web: FlaskClient) -> None:
    assert web.get("/healthz").json == {"status": "ok", "version": "1.2.3"}


def test_readiness_tells_of_each_part_and_only_the_needed_ones_decide(
    web: FlaskClient, world: World
) -> None:
    first = web.get("/readyz").json
    assert first["ready"] is True
    assert first["tokens"] == [{"token": "test", "state": "ready", "detail": None}]
    world.tokens.fault = HSMUnavailableError("the token is away")
    signing = web.get("/readyz?for=sign")
    assert (signing.status_code, signing.json["ready"]) == (503, False)
    assert int(signing.headers["Retry-After"]) >= 1
    [token] = signing.json["tokens"]
    assert token == {"token": "test", "state": "unavailable", "detail": "the token is away"}
    hsm, store, log = signing.json["parts"]
    assert hsm == {
        "name": "hsm",
        "ready": False,
        "needed": True,
        "code": "hsm-unavailable",
        "detail": "the token is away",
    }
    assert (store["ready"], store["detail"]) == (True, None)
    assert (log["name"], log["ready"], log["needed"]) == ("log", True, True)
    verifying = web.get("/readyz?for=verify")
    assert (verifying.status_code, verifying.json["ready"]) == (200, True)
    assert verifying.json["parts"][0]["needed"] is False
    world.health.fault = StoreUnavailableError()
    assert web.get("/readyz?for=verify").status_code == 503
    assert web.get("/readyz?for=gate").status_code == 503
    assert web.get("/readyz?for=tea").status_code == 422


@pytest.mark.parametrize("code", CODES)
def test_every_error_has_a_page_for_people_and_one_for_tools(web: FlaskClient, code: str) -> None:
    page = web.get(f"/problems/{code}", headers={"Accept": "text/html,*/*;q=0.8"})
    assert page.content_type.startswith("text/html")
    assert code in page.text
    tools = web.get(f"/problems/{code}", headers={"Accept": "application/json"})
    assert tools.json.keys() == {"code", "title", "status", "cause", "cure", "retryable"}
    assert tools.json["code"] == code


@pytest.mark.parametrize("code", sorted(MEANINGS))
def test_every_reason_has_a_page_for_people_and_one_for_tools(web: FlaskClient, code: str) -> None:
    page = web.get(f"/problems/{code}", headers={"Accept": "text/html,*/*;q=0.8"})
    assert page.content_type.startswith("text/html")
    assert f"<code>{code}</code>, a reason in a verdict." in page.text
    tools = web.get(f"/problems/{code}", headers={"Accept": "application/json"}).json
    assert tools == {"code": code, **asdict(MEANINGS[code])}


def test_commands_on_a_page_are_marked_as_such(web: FlaskClient) -> None:
    page = web.get("/problems/key-not-found").text
    assert "<code>sealwright keys list</code> shows the keys." in page
    assert "`" not in page
    assert "Bearer &lt;token&gt;</code>" in web.get("/problems/unauthenticated").text


def test_without_a_preference_a_problem_page_is_html(web: FlaskClient) -> None:
    assert web.get("/problems/internal").content_type.startswith("text/html")
    assert web.get("/problems/").content_type.startswith("text/html")


def test_the_list_of_problems_links_every_page(web: FlaskClient) -> None:
    assert {f"/problems/{code}" for code in (*CODES, *MEANINGS)} <= set(
        links(web.get("/problems/").text).urls
    )
    listed = web.get("/problems/", headers={"Accept": "application/json"}).json
    assert [page["code"] for page in listed["items"]] == CODES
    assert [page["code"] for page in listed["reasons"]] == sorted(MEANINGS)
    assert web.get("/problems").status_code == 200


def test_an_unknown_code_is_404_and_is_not_echoed_as_html(web: FlaskClient) -> None:
    answer = web.get("/problems/<script>alert(1)<")
    assert answer.status_code == 404
    assert answer.content_type == "application/problem+json"


@pytest.mark.parametrize("path", ["/docs", "/problems/", "/problems/internal"])
def test_pages_load_nothing_from_elsewhere_and_hold_no_inline_code(
    web: FlaskClient, path: str
) -> None:
    page = web.get(path)
    found = links(page.text)
    assert not found.inline
    assert found.urls
    for url in found.urls:
        assert re.match(r"/[a-z]", url)
        assert web.get(url).status_code == 200
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "http" not in policy
    assert "unsafe-eval" not in policy
    assert "script-src 'self';" in policy or "script-src" not in policy


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("start.js", "text/javascript; charset=utf-8"),
        ("swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
        ("swagger-ui.css", "text/css; charset=utf-8"),
        ("favicon-32x32.png", "image/png"),
    ],
)
def test_what_the_documentation_is_made_of_is_served_and_revalidated(
    web: FlaskClient, name: str, content_type: str
) -> None:
    first = web.get(f"/docs/{name}")
    assert first.content_type == content_type
    assert len(first.data) > 100
    again = web.get(f"/docs/{name}", headers={"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304


@pytest.mark.parametrize("name", ["app.py", "..%2fapp.py", "%2e%2e", "index.html", "LICENSE"])
def test_nothing_else_is_served_from_there(web: FlaskClient, name: str) -> None:
    assert web.get(f"/docs/{name}").status_code == 404

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml
from flask import Flask
from flask.testing import FlaskClient

from service.web.openapi import document, to_yaml

COMMITTED = Path(__file__).parents[2] / "openapi.yaml"


@pytest.fixture
def described() -> dict[str, Any]:
    return document("1.2.3")


def operations(described: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def test_the_committed_description_is_what_the_code_says() -> None:
    committed = COMMITTED.read_text(encoding="utf-8")
    assert committed == to_yaml(version("sealwright")), "run: sealwright openapi > openapi.yaml"


def test_the_served_description_is_the_same(web: FlaskClient, described: dict[str, Any]) -> None:
    assert web.get("/openapi.json").json == described
    assert yaml.safe_load(to_yaml("1.2.3")) == described


def test_routes_and_described_paths_are_the_same(app: Flask, described: dict[str, Any]) -> None:
    routes = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
        if method != "HEAD"
    }
    assert routes == {(path, method) for path, method, _ in operations(described)}


def test_every_field_of_every_schema_is_described(described: dict[str, Any]) -> None:
    bare = [
        f"{name}.{field}"
        for name, schema in described["components"]["schemas"].items()
        for field, shape in schema["properties"].items()
        if not shape.get("description")
    ]
    assert bare == []


def test_every_request_refuses_unknown_fields(described: dict[str, Any]) -> None:
    schemas = described["components"]["schemas"]
    bodies = [
        operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        for _, _, operation in operations(described)
        if "application/json" in operation.get("requestBody", {}).get("content", {})
    ]
    assert bodies
    assert all(schemas[name]["additionalProperties"] is False for name in bodies)


def test_every_operation_has_a_name_of_its_own_and_every_parameter_a_description(
    described: dict[str, Any],
) -> None:
    names = [operation["operationId"] for _, _, operation in operations(described)]
    assert len(set(names)) == len(names)
    for _, _, operation in operations(described):
        assert all(parameter["description"] for parameter in operation["parameters"])
        assert operation["summary"]


def test_every_503_and_every_problem_is_described_with_its_headers(
    described: dict[str, Any],
) -> None:
    for _, _, operation in operations(described):
        for status, answer in operation["responses"].items():
            assert "X-Request-Id" in answer["headers"]
            if status == "503":
                assert "Retry-After" in answer["headers"]
        assert "application/problem+json" in operation["responses"]["default"]["content"]


def test_public_operations_say_so_and_all_others_need_the_bearer_token(
    described: dict[str, Any],
) -> None:
    assert described["security"] == [{"bearer": []}]
    for path, method, operation in operations(described):
        shown = path.startswith(("/v1/keys", "/v1/log/", "/v1/trust/")) or path == "/v1/withdrawals"
        public = (shown and method == "get") or path == "/v1/timestamps"
        private = path.startswith("/v1/") and not public
        assert ("security" not in operation) == private
        assert ("401" in operation["responses"]) == private

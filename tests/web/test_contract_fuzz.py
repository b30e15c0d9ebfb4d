"""Requests made up from openapi.yaml: whatever comes, the answer is one that it describes."""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance

from service.domain.callers import Role
from service.domain.keys import Purpose
from service.operations.generate_key import Generation
from service.web import create_app
from service.web.openapi import document
from tests.support.operations import World, new_world

schemathesis.serializer.alias("application/timestamp-query", "application/octet-stream")

EXAMPLES = 10
OPERATIONS = [
    (path, method) for path, methods in document("1.2.3")["paths"].items() for method in methods
]
ROLES = {
    "slots": Role.CUSTODIAN,
    "keys": Role.CUSTODIAN,
    "signatures": Role.BUILDER,
    "attestations": Role.BUILDER,
}


@pytest.fixture(scope="module")
def fuzzed() -> World:
    world = new_world()
    # Without one there is no list of withdrawals, which is a 503.
    custodian = world.book.credentials["custodian"].caller
    world.operations.custody.generate(custodian, Generation("log", Purpose.LOG, None, None))
    return world


@pytest.fixture(scope="module")
def contract(fuzzed: World) -> BaseSchema:
    app = create_app(fuzzed.operations, version="1.2.3")
    return schemathesis.openapi.from_wsgi("/openapi.json", app)


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_answer_is_one_that_the_description_names(
    contract: BaseSchema, fuzzed: World, path: str, method: str
) -> None:
    role = ROLES.get(path.split("/")[2], Role.ADMIN) if path.startswith("/v1/") else Role.ADMIN
    if path.endswith("/payload-signatures"):
        role = Role.BUILDER
    bearer = f"Bearer {fuzzed.bearer[role]}"

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=contract[path][method].as_strategy())
    def answers_as_described(case: schemathesis.Case) -> None:
        case.headers["Authorization"] = bearer
        # That credentials are needed is proven for every route in test_authentication; that
        # what fits the schema may still be refused for its meaning is how this API is made.
        case.call_and_validate(excluded_checks=[ignored_auth, positive_data_acceptance])

    answers_as_described()

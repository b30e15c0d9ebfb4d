"""Predicates: what is taken, what is refused and where, and the bytes that are signed."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.attestations import (
    COSIGN_SIGN,
    MAX_EXACT,
    PredicateType,
    not_portable,
)
from service.domain.errors import InvalidPredicateError
from service.domain.limits import MAX_PREDICATE_BYTES, MAX_PREDICATE_DEPTH
from service.formats.predicates import cyclonedx as cyclonedx_module
from service.formats.predicates.check import checked_predicate
from tests.support.predicates import (
    CYCLONEDX,
    GOOD,
    OPENVEX,
    SLSA,
    SPDX,
    VULN,
    cyclonedx,
    spdx,
    spoilt,
)

ANY = "https://example.com/anything"


def faults(kind: str, predicate: Any) -> dict[str, Any]:
    with pytest.raises(InvalidPredicateError) as raised:
        checked_predicate(PredicateType.parse(kind), predicate)
    for place in list(raised.value.errors)[:1]:
        assert place in str(raised.value)
    return raised.value.errors


@pytest.mark.parametrize("kind", GOOD)
@pytest.mark.parametrize("suffix", ["", "/v9.9"])
def test_what_the_tools_write_is_taken_as_it_is(kind: str, suffix: str) -> None:
    predicate = GOOD[kind]()
    made = checked_predicate(PredicateType.parse(kind + suffix), predicate)
    assert orjson.loads(made.content) == predicate


@pytest.mark.parametrize(
    ("kind", "path", "value", "place"),
    [
        (SLSA, ["buildDefinition"], ..., "buildDefinition"),
        (SLSA, ["buildDefinition", "buildType"], "", "buildDefinition.buildType"),
        (SLSA, ["buildDefinition", "buildType"], 3, "buildDefinition.buildType"),
        (
            SLSA,
            ["buildDefinition", "externalParameters"],
            ...,
            "buildDefinition.externalParameters",
        ),
        (
            SLSA,
            ["buildDefinition", "externalParameters"],
            "x",
            "buildDefinition.externalParameters",
        ),
        (
            SLSA,
            ["buildDefinition", "resolvedDependencies", 0],
            {"mediaType": "text/plain"},
            "buildDefinition.resolvedDependencies[0]",
        ),
        (SLSA, ["runDetails", "builder", "id"], ..., "runDetails.builder.id"),
        (SLSA, ["runDetails", "metadata", "startedOn"], "noon", "runDetails.metadata.startedOn"),
        (SPDX, ["spdxVersion"], "SPDX-1.2", "spdxVersion"),
        (SPDX, ["packages", 1, "name"], ..., "Package"),
        (SPDX, ["packages", 0, "downloadLocation"], "nowhere at all", "SPDXRef-app"),
        (SPDX, ["relationships", 1, "relatedSpdxElement"], "SPDXRef-none", ""),
        (SPDX, ["packages"], [1], ""),
        (CYCLONEDX, ["bomFormat"], "SPDX", "bomFormat"),
        (CYCLONEDX, ["specVersion"], "9.9", "specVersion"),
        (CYCLONEDX, ["specVersion"], "1.0", "specVersion"),
        (CYCLONEDX, ["components", 1, "type"], "nonsense", "components[1].type"),
        (CYCLONEDX, ["components", 1, "name"], ..., "components[1]"),
        (VULN, ["scanner"], ..., "scanner"),
        (VULN, ["scanner", "result"], "FAILED", "scanner.result"),
        (VULN, ["metadata", "scanFinishedOn"], "noon", "metadata.scanFinishedOn"),
        (VULN, ["scanner", "db"], [], "scanner.db"),
        (OPENVEX, ["@context"], "https://example.com/", "@context"),
        (OPENVEX, ["author"], ..., "author"),
        (OPENVEX, ["timestamp"], "2026-11-01T10:00:00", "timestamp"),
        (OPENVEX, ["version"], ..., "version"),
        (OPENVEX, ["statements"], [], "statements"),
        (OPENVEX, ["statements", 0, "justification"], ..., "statements[0].justification"),
        (OPENVEX, ["statements", 1, "status"], "gone", "statements[1].status"),
        (OPENVEX, ["statements", 2, "action_statement"], ..., "statements[2].action_statement"),
        (
            OPENVEX,
            ["statements", 0, "vulnerability", "name"],
            ...,
            "statements[0].vulnerability.name",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_place(
    kind: str, path: list[str | int], value: object, place: str
) -> None:
    found = faults(kind, spoilt(GOOD[kind](), path, value))
    assert (f"predicate.{place}" if place else "predicate") in found


def test_a_provenance_may_hold_members_that_nobody_knows_yet() -> None:
    extended = spoilt(GOOD[SLSA](), ["runDetails", "vendorsOwn"], {"a": [1]})
    assert checked_predicate(PredicateType.parse(SLSA), extended)


def test_spdx_3_is_looked_at_from_outside_alone() -> None:
    document = {"@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld", "@graph": [{}]}
    assert checked_predicate(PredicateType.parse(SPDX), document)
    assert "predicate.@graph" in faults(SPDX, spoilt(document, ["@graph"], {}))


def test_a_long_list_is_checked_in_pieces_and_places_are_counted_through() -> None:
    bill = cyclonedx(components=450)
    assert checked_predicate(PredicateType.parse(CYCLONEDX), bill)
    assert "predicate.components[321].type" in faults(
        CYCLONEDX, spoilt(bill, ["components", 321, "type"], "nonsense")
    )


def test_a_piece_that_would_take_minutes_is_not_shown_to_the_library(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bill = cyclonedx()
    bill["components"][0]["components"] = [{"type": "nonsense"} for _ in range(5)]
    assert "predicate.components[0].components[0].type" in faults(CYCLONEDX, bill)
    monkeypatch.setattr(cyclonedx_module, "MAX_INNER_ITEMS", 20)
    assert checked_predicate(PredicateType.parse(CYCLONEDX), bill)


def test_many_relations_are_checked_for_their_form_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    document = spoilt(spdx(), ["relationships", 1, "relatedSpdxElement"], "SPDXRef-none")
    assert faults(SPDX, document)
    monkeypatch.setattr("service.formats.predicates.spdx.MAX_COMPARISONS", 3)
    assert checked_predicate(PredicateType.parse(SPDX), document)
    assert faults(SPDX, spoilt(document, ["packages", 0, "name"], ...))


@pytest.mark.parametrize("predicate", [{}, {"a": 1}, {"ä": [None, 0.1, True, "<&>"]}])
def test_any_object_of_another_type_is_taken(predicate: dict[str, Any]) -> None:
    assert orjson.loads(checked_predicate(PredicateType.parse(ANY), predicate).content) == predicate


def test_too_large_a_predicate_is_refused() -> None:
    room = MAX_PREDICATE_BYTES - len(b'{"a":""}')
    assert checked_predicate(PredicateType.parse(ANY), {"a": "x" * room})
    assert "predicate" in faults(ANY, {"a": "x" * (room + 1)})


@pytest.mark.parametrize(
    "uri",
    [
        "https://slsa.dev/provenance/v1",
        "urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79",
        "tag:example.com,2026:scan",
        "https://example.com/a%20b?c=d",
    ],
)
def test_an_absolute_uri_is_a_predicate_type(uri: str) -> None:
    assert PredicateType.parse(uri).uri == uri


@pytest.mark.parametrize(
    "text",
    [
        "",
        "slsaprovenance1",
        "https:",
        "https://a b",
        "//example.com",
        "a:\n",
        "a:ü",
        COSIGN_SIGN,
        "https://example.com/" + "x" * 512,
    ],
)
def test_anything_else_is_none_and_neither_is_that_of_a_signature(text: str) -> None:
    with pytest.raises(ValueError, match=r"[A-Z].*\."):
        PredicateType.parse(text)


def test_numbers_and_depths_that_readers_would_change_are_found() -> None:
    def nested(depth: int) -> object:
        value: object = 1
        for number in range(depth):
            value = [value] if number % 2 else {"a": value}
        return value

    assert not_portable({"a": [MAX_EXACT, -MAX_EXACT, 0.5, True]}) is None
    assert not_portable({"a": [MAX_EXACT + 1]}) is not None
    assert not_portable({"a": {"b": -1e300}}) is not None
    assert not_portable(nested(MAX_PREDICATE_DEPTH)) is None
    assert not_portable(nested(MAX_PREDICATE_DEPTH + 1)) is not None


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-MAX_EXACT, MAX_EXACT)
    | st.floats(-1e15, 1e15, allow_nan=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def judged(kind: str, predicate: dict[str, Any]) -> bytes | None:
    """Return the bytes to be signed; None if it is refused, with a place for every fault."""
    try:
        return checked_predicate(PredicateType.parse(kind), predicate).content
    except InvalidPredicateError as error:
        if not error.errors:
            raise AssertionError("refused without a place") from error
        return None


@pytest.mark.parametrize("kind", GOOD)
@settings(max_examples=40)
@given(more=st.dictionaries(st.text(), JSON, max_size=4))
def test_no_object_is_too_strange_to_be_judged(kind: str, more: dict[str, Any]) -> None:
    predicate = {**GOOD[kind](), **more}
    content = judged(kind, predicate)
    assert content is None or orjson.loads(content) == predicate


@pytest.mark.parametrize("kind", GOOD)
@settings(max_examples=40)
@given(data=st.data())
def test_no_part_of_another_form_is_more_than_a_fault(kind: str, data: st.DataObject) -> None:
    predicate = GOOD[kind]()
    path: list[str | int] = []
    value: Any = predicate
    while isinstance(value, dict | list) and value and (not path or data.draw(st.booleans())):
        keys = sorted(value) if isinstance(value, dict) else range(len(value))
        path.append(data.draw(st.sampled_from(list(keys))))
        value = value[path[-1]]
    spoilt(predicate, path, data.draw(JSON))
    content = judged(kind, predicate)
    assert content is None or orjson.loads(content) == predicate

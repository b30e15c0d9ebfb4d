"""OpenVEX documents (OPENVEX-SPEC.md 0.0.1 to 0.2.0): what a document and a statement require.

No well-kept library reads them. What the specification leaves open is left open here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from service.formats.predicates.faults import MISSING, Faults, add, moment_at, text_at

CONTEXT: Final = "https://openvex.dev/ns"
STATUSES: Final = ("not_affected", "affected", "fixed", "under_investigation")


def faults_of(predicate: Mapping[str, Any]) -> Faults:
    faults: Faults = {}
    if not str(predicate.get("@context")).startswith(CONTEXT):
        add(faults, "@context", f"Does not begin with {CONTEXT}.")
    text_at(faults, predicate, "@id")
    text_at(faults, predicate, "author")
    moment_at(faults, predicate, "timestamp")
    if not isinstance(predicate.get("version"), int | str):
        add(faults, "version", "Neither a number nor a text.")
    statements = predicate.get("statements")
    if not isinstance(statements, list) or not statements:
        add(faults, "statements", "Not a list of one statement or more.")
        return faults
    for number, statement in enumerate(statements):
        _statement(faults, statement, f"statements[{number}]")
    return faults


def _statement(faults: Faults, statement: object, place: str) -> None:
    if not isinstance(statement, Mapping):
        add(faults, place, "Not an object.")
        return
    vulnerability = statement.get("vulnerability")
    if isinstance(vulnerability, Mapping):
        text_at(faults, vulnerability, "name", f"{place}.vulnerability")
    else:
        text_at(faults, statement, "vulnerability", place)
    match statement.get("status"):
        case "not_affected":
            if not statement.get("justification") and not statement.get("impact_statement"):
                add(faults, f"{place}.justification", f"{MISSING} Or an impact_statement.")
        case "affected":
            text_at(faults, statement, "action_statement", place)
        case status if status not in STATUSES:
            add(faults, f"{place}.status", f"Not one of {', '.join(STATUSES)}.")
        case _:
            pass
    moment_at(faults, statement, "timestamp", place, required=False)

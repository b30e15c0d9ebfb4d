"""cosign's records of vulnerability scans (COSIGN_VULN_ATTESTATION_SPEC.md).

No library reads them; held here is what cosign's own `attest --type vuln` holds them to, the
types of the members that it knows, and that there is a scanner at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.formats.predicates.faults import Faults, moment_at, object_at, text_at


def faults_of(predicate: Mapping[str, Any]) -> Faults:
    faults: Faults = {}
    scanner = object_at(faults, predicate, "scanner")
    text_at(faults, scanner, "uri", "scanner", required=False)
    text_at(faults, scanner, "version", "scanner", required=False)
    database = object_at(faults, scanner, "db", "scanner", required=False)
    text_at(faults, database, "uri", "scanner.db", required=False)
    text_at(faults, database, "version", "scanner.db", required=False)
    object_at(faults, scanner, "result", "scanner", required=False)
    invocation = object_at(faults, predicate, "invocation", required=False)
    text_at(faults, invocation, "uri", "invocation", required=False)
    text_at(faults, invocation, "event_id", "invocation", required=False)
    metadata = object_at(faults, predicate, "metadata", required=False)
    moment_at(faults, metadata, "scanStartedOn", "metadata", required=False)
    moment_at(faults, metadata, "scanFinishedOn", "metadata", required=False)
    return faults

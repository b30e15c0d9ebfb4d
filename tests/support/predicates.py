"""One predicate of each type that is known, as its tools write it, and small ways to spoil it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

SLSA = "https://slsa.dev/provenance/v1"
SPDX = "https://spdx.dev/Document"
CYCLONEDX = "https://cyclonedx.org/bom"
VULN = "https://cosign.sigstore.dev/attestation/vuln/v1"
OPENVEX = "https://openvex.dev/ns"


def provenance() -> dict[str, Any]:
    return {
        "buildDefinition": {
            "buildType": "https://actions.github.io/buildtypes/workflow/v1",
            "externalParameters": {"workflow": {"ref": "refs/heads/main", "path": "build.yaml"}},
            "internalParameters": {"attempt": 1},
            "resolvedDependencies": [
                {
                    "uri": "git+https://example.com/team/app@refs/heads/main",
                    "digest": {"gitCommit": "1f1b2f6c4a1a8a1d2a1e0d6c6a3f8a9b0c1d2e3f"},
                }
            ],
        },
        "runDetails": {
            "builder": {"id": "https://ci.example.com/builders/7"},
            "metadata": {
                "invocationId": "https://ci.example.com/runs/42",
                "startedOn": "2026-11-01T10:00:00Z",
                "finishedOn": "2026-11-01T10:02:00Z",
            },
        },
    }


def spdx() -> dict[str, Any]:
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": "app",
        "documentNamespace": "https://example.com/spdx/app-1",
        "creationInfo": {"created": "2026-11-01T10:00:00Z", "creators": ["Tool: syft-1.18.1"]},
        "packages": [
            {
                "name": name,
                "SPDXID": f"SPDXRef-{name}",
                "versionInfo": "1.0",
                "downloadLocation": "NOASSERTION",
                "filesAnalyzed": False,
                "licenseConcluded": "NOASSERTION",
                "licenseDeclared": "MIT",
            }
            for name in ("app", "flask")
        ],
        "relationships": [
            {
                "spdxElementId": "SPDXRef-DOCUMENT",
                "relatedSpdxElement": "SPDXRef-app",
                "relationshipType": "DESCRIBES",
            },
            {
                "spdxElementId": "SPDXRef-app",
                "relatedSpdxElement": "SPDXRef-flask",
                "relationshipType": "DEPENDS_ON",
            },
        ],
    }


def cyclonedx(*, components: int = 2) -> dict[str, Any]:
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": "urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79",
        "version": 1,
        "components": [
            {
                "type": "library",
                "bom-ref": f"pkg:pypi/part-{number}@1.0",
                "name": f"part-{number}",
                "version": "1.0",
                "purl": f"pkg:pypi/part-{number}@1.0",
            }
            for number in range(components)
        ],
    }


def vuln() -> dict[str, Any]:
    return {
        "invocation": {"parameters": None, "uri": "", "event_id": "", "builder.id": ""},
        "scanner": {
            "uri": "pkg:github/aquasecurity/trivy@v0.30.1",
            "version": "v0.30.1",
            "db": {"uri": "", "version": ""},
            "result": {"SchemaVersion": 2, "Results": []},
        },
        "metadata": {
            "scanStartedOn": "2026-11-01T10:00:00.123456789+02:00",
            "scanFinishedOn": "2026-11-01T10:00:10Z",
        },
    }


def openvex() -> dict[str, Any]:
    return {
        "@context": "https://openvex.dev/ns/v0.2.0",
        "@id": "https://example.com/vex/1",
        "author": "Security <security@example.com>",
        "timestamp": "2026-11-01T10:00:00Z",
        "version": 1,
        "statements": [
            {
                "vulnerability": {"name": "CVE-2026-0001"},
                "products": [{"@id": "pkg:oci/app"}],
                "status": "not_affected",
                "justification": "component_not_present",
            },
            {"vulnerability": "CVE-2026-0002", "status": "fixed"},
            {
                "vulnerability": {"name": "CVE-2026-0003"},
                "status": "affected",
                "action_statement": "Update to 2.0.",
            },
        ],
    }


GOOD: dict[str, Callable[[], dict[str, Any]]] = {
    SLSA: provenance,
    SPDX: spdx,
    CYCLONEDX: cyclonedx,
    VULN: vuln,
    OPENVEX: openvex,
}


def spoilt(predicate: dict[str, Any], path: list[str | int], value: object) -> dict[str, Any]:
    """Return the predicate with this value at the end of the path; ... takes it away."""
    holder: Any = predicate
    for part in path[:-1]:
        holder = holder[part]
    if value is ...:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    return predicate

"""SLSA provenance v1 (slsa.dev/provenance/v1), read by the in-toto project's own library.

Members that the type does not know are left alone, as the type demands of readers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from service.formats.predicates.faults import Faults, add, object_at, text_at

# What protobuf's parser says before the reason, and behind it.
_FIELD: Final = re.compile(r"Failed to parse \w+ field: ")
_PLACE: Final = re.compile(r" at Provenance\.(\S+?)\.*$")


def faults_of(predicate: Mapping[str, Any]) -> Faults:
    from google.protobuf import json_format  # noqa: PLC0415 - few processes see a provenance
    from in_toto_attestation.predicates.provenance.v1 import provenance_pb2  # noqa: PLC0415
    from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor  # noqa: PLC0415

    faults: Faults = {}
    provenance = provenance_pb2.Provenance()
    try:
        json_format.ParseDict(predicate, provenance, ignore_unknown_fields=True)
    except json_format.ParseError as error:
        said = str(error)
        found = _PLACE.search(said)
        reason = _FIELD.sub("", _PLACE.sub("", said)).rstrip(".")
        return {found[1] if found else _named(said): [f"{reason}."]}
    # What the type requires (protobuf knows no such thing), under the names that readers know.
    build = object_at(faults, predicate, "buildDefinition")
    text_at(faults, build, "buildType", "buildDefinition")
    object_at(faults, build, "externalParameters", "buildDefinition")
    run = object_at(faults, predicate, "runDetails")
    builder = object_at(faults, run, "builder", "runDetails")
    text_at(faults, builder, "id", "runDetails.builder")
    listed = {
        "buildDefinition.resolvedDependencies": provenance.build_definition.resolved_dependencies,
        "runDetails.builder.builderDependencies": provenance.run_details.builder.builder_dependencies,
        "runDetails.byproducts": provenance.run_details.byproducts,
    }
    for place, resources in listed.items():
        for number, resource in enumerate(resources):
            try:
                ResourceDescriptor.copy_from_pb(resource).validate()
            except ValueError as error:
                add(faults, f"{place}[{number}]", f"{error}.")
    return faults


def _named(said: str) -> str:
    return ".".join(re.findall(r"Failed to parse (\w+) field", said))

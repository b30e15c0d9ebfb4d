"""SPDX 2.2 and 2.3 documents in JSON, by the SPDX project's own library.

The library looks through all elements for each relationship, so for a document of many it is
asked for the form alone and not for what its parts say of each other. SPDX 3 is JSON-LD, for
which there is no well-kept library yet: of it only the outermost form is looked at.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from service.formats.predicates.faults import Faults, add

# What the library's own type checker says, in its terms.
_SETTER: Final = re.compile(
    r"SetterError \w+: Method \S+ parameter (\w+)=.*? violates type hint (?:<class '?\\?'?)?([\w.]+).*"
)

MAX_COMPARISONS: Final = 1_000_000
"""Elements times relationships: about two seconds."""
VERSIONS: Final = ("SPDX-2.2", "SPDX-2.3")
SPDX_3: Final = "https://spdx.org/rdf/3."


def faults_of(predicate: Mapping[str, Any]) -> Faults:
    if str(predicate.get("@context")).startswith(SPDX_3):
        if isinstance(predicate.get("@graph"), list):
            return {}
        return {"@graph": ["Not a list."]}
    if predicate.get("spdxVersion") not in VERSIONS:
        return {"spdxVersion": [f"Not one of {', '.join(VERSIONS)}."]}
    return _by_library(predicate)


def _by_library(predicate: Mapping[str, Any]) -> Faults:
    from spdx_tools.spdx.parser.error import SPDXParsingError  # noqa: PLC0415 - few see one
    from spdx_tools.spdx.parser.jsonlikedict.json_like_dict_parser import (  # noqa: PLC0415
        JsonLikeDictParser,
    )
    from spdx_tools.spdx.validation.document_validator import (  # noqa: PLC0415
        validate_full_spdx_document,
    )

    faults: Faults = {}
    try:
        document = JsonLikeDictParser().parse(dict(predicate))  # type: ignore[no-untyped-call]
    except SPDXParsingError as error:
        for message in error.get_messages():  # type: ignore[no-untyped-call]
            add(faults, _part(message), _SETTER.sub(r"`\1` is not of the type \2", message)[:300])
        return faults
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        # It takes the form of nested parts for granted.
        return {"": [f"A part is of another form than SPDX gives it ({type(error).__name__})."]}
    elements = len(document.packages) + len(document.files) + len(document.snippets)
    if elements * len(document.relationships) <= MAX_COMPARISONS:
        for found in validate_full_spdx_document(document):
            add(faults, found.context.spdx_id or "", found.validation_message[:300])
    return faults


def _part(message: str) -> str:
    """Return the kind of element that a message of the parser is about."""
    named = re.match(r"Error while (?:parsing|constructing) (\w+)", message)
    return named[1] if named else ""

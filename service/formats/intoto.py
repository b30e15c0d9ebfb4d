"""In-toto statements (in-toto attestation framework, Statement v1), written and strictly read.

Read as cosign reads them (protojson: no unknown member, nothing twice). What a statement says
is named `unverified_…` until a signature over its exact bytes has been checked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from service.domain.attestations import COSIGN_SIGN
from service.domain.digests import Digest
from service.domain.errors import InvalidRequestError
from service.domain.public_keys import SignatureInvalidError
from service.formats import strictjson

STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
MAX_SUBJECTS: Final = 1000  # of a statement of others; ours have one

_STATEMENT: Final = frozenset({"_type", "subject", "predicateType", "predicate"})
_RESOURCE: Final = frozenset(
    {"name", "uri", "digest", "content", "downloadLocation", "mediaType", "annotations"}
)


class StatementMalformedError(SignatureInvalidError):
    """The bytes are not an in-toto statement, read strictly."""


class PredicateMalformedError(StatementMalformedError):
    """The statement's predicate is no object."""


@dataclass(frozen=True, slots=True)
class UnverifiedSubject:
    unverified_name: str | None
    unverified_digests: Mapping[str, str]
    unverified_annotations: Mapping[str, Any]

    def is_about(self, digest: Digest) -> bool:
        return self.unverified_digests.get("sha256") == digest.hex


@dataclass(frozen=True, slots=True)
class UnverifiedStatement:
    """What a statement says; nothing of it is true before its signature is checked."""

    unverified_predicate_type: str
    unverified_subjects: tuple[UnverifiedSubject, ...]
    unverified_type: str
    unverified_predicate: Mapping[str, Any] | None = None


def signing_statement(
    digest: Digest, annotations: Sequence[tuple[str, str]], *, name: str | None = None
) -> bytes:
    """Return the statement that cosign signs for an image; `name` only where it is claimed.

    Raises:
        InvalidRequestError: name or annotations are not Unicode text.
    """
    if not annotations and name is None:
        text = (
            f'{{"_type":"{STATEMENT_TYPE}","subject":[{{"digest":{{"sha256":"{digest.hex}"}},'
            f'"annotations":{{}}}}],"predicateType":"{COSIGN_SIGN}","predicate":{{}}}}'
        )
        return text.encode("ascii")
    subject: dict[str, Any] = {} if name is None else {"name": name}
    subject |= {"digest": {"sha256": digest.hex}, "annotations": dict(sorted(annotations))}
    try:
        return strictjson.dump(
            {
                "_type": STATEMENT_TYPE,
                "subject": [subject],
                "predicateType": COSIGN_SIGN,
                "predicate": {},
            }
        )
    except strictjson.StrictJSONError as error:
        raise InvalidRequestError(f"identity or annotations: {error}") from error


def attestation_head(digest: Digest, *, name: str, predicate_type: str) -> bytes:
    """Return the statement about an image up to its predicate; behind that comes one brace.

    Raises:
        InvalidRequestError: the name is not Unicode text.
    """
    subject = {"name": name, "digest": {"sha256": digest.hex}}
    statement = {"_type": STATEMENT_TYPE, "subject": [subject], "predicateType": predicate_type}
    try:
        return strictjson.dump_plain(statement)[:-1] + b',"predicate":'
    except strictjson.StrictJSONError as error:
        raise InvalidRequestError(f"name of the image: {error}") from error


def parse_statement(payload: bytes) -> UnverifiedStatement:
    """Read a statement as cosign does.

    Raises:
        StatementMalformedError: cosign would refuse it.
    """
    try:
        top = _object(strictjson.load(payload), _STATEMENT)
    except strictjson.StrictJSONError as error:
        raise StatementMalformedError(str(error)) from error
    if not isinstance(top.get("predicate"), dict | None):
        raise PredicateMalformedError("the predicate is not an object")
    subjects = top.get("subject")
    if not isinstance(subjects, list) or not 1 <= len(subjects) <= MAX_SUBJECTS:
        raise StatementMalformedError("no subject, or too many")
    return UnverifiedStatement(
        _text(top.get("predicateType", "")),
        tuple(_subject(entry) for entry in subjects),
        _text(top.get("_type")),
        top.get("predicate"),
    )


def _subject(entry: object) -> UnverifiedSubject:
    members = _object(entry, _RESOURCE)
    digests = _object(members.get("digest"), None)
    annotations = members.get("annotations")
    if not isinstance(annotations, dict | None):
        raise StatementMalformedError("annotations are not an object")
    name = members.get("name")
    return UnverifiedSubject(
        None if name is None else _text(name),
        {_text(algorithm): _text(value) for algorithm, value in digests.items()},
        annotations or {},
    )


def _object(value: object, names: frozenset[str] | None) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise StatementMalformedError("not an object where one belongs")
    if names is not None and not value.keys() <= names:
        raise StatementMalformedError(f"unknown members beside {', '.join(sorted(names))}")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise StatementMalformedError("not a string where one belongs")
    return value

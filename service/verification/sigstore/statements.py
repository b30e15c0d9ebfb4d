"""Whether an in-toto statement is about a file (in-toto attestation framework, v0.1 and v1)."""

from __future__ import annotations

from typing import Final

from service.domain.digests import Digest
from service.formats import dsse
from service.formats.intoto import (
    STATEMENT_TYPE,
    PredicateMalformedError,
    StatementMalformedError,
    UnverifiedStatement,
    parse_statement,
)
from service.verification.sigstore.artifacts import Artifact
from service.verification.sigstore.reasons import Refusal, RefusedError

TYPES: Final = frozenset({STATEMENT_TYPE, "https://in-toto.io/Statement/v0.1"})


def check_statement(payload: bytes, kind: str, artifact: Artifact) -> UnverifiedStatement:
    """Return the statement of a verified envelope, if it is about the artifact.

    Raises RefusedError.
    """
    if kind != dsse.IN_TOTO:
        text = f"the envelope holds {kind[:100]}, and no in-toto statement"
        raise RefusedError(Refusal.PAYLOAD_TYPE_UNKNOWN, text)
    try:
        statement = parse_statement(payload)
    except PredicateMalformedError as error:
        raise RefusedError(Refusal.PREDICATE_MALFORMED, str(error)) from error
    except StatementMalformedError as error:
        raise RefusedError(Refusal.STATEMENT_MALFORMED, str(error)) from error
    if statement.unverified_type not in TYPES:
        raise RefusedError(Refusal.STATEMENT_MALFORMED, "it is no statement of in-toto")
    if not statement.unverified_predicate_type:
        raise RefusedError(Refusal.PREDICATE_MALFORMED, "the statement has no predicate type")
    digest = Digest(artifact.sha256.hex())
    if not any(one.is_about(digest) for one in statement.unverified_subjects):
        raise RefusedError(Refusal.DIGEST_MISMATCHED, "the statement is about other files")
    return statement

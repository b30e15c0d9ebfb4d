"""Attestations: in-toto statements in sigstore bundles v0.3 by a public key, as OCI referrers.

Guaranteed: bundle and manifest are those of a signature (`service.formats.bundle`), and as
cosign's `attest` writes them; the statement is of version 1, names the image's repository, and
holds the predicate as the very bytes whose digest the recorded statement carries.
"""

from __future__ import annotations

from typing import Final

from service.domain.attestations import (
    COSIGN_SIGN,
    FORMAT,
    PREDICATE_DIGEST,
    PREDICATE_TYPE,
    Predicate,
)
from service.domain.digests import Descriptor, Digest
from service.domain.keys import KeyVersion, Scheme
from service.domain.outbox import OrderKind
from service.domain.public_keys import SignatureInvalidError, public_key
from service.domain.signing import Referrer, Signature, Statement
from service.formats import dsse, intoto
from service.formats.bundle import SCHEMES, WrongStatementError, bundle, predicate_referrer
from service.translog import rekor

_END: Final = b"}"


class AttestationFormat:
    """service.ports.formats.RecordedFormat for statements that are no signatures of images."""

    name: str = FORMAT
    kind: OrderKind = OrderKind.REFER

    def scheme(self, version: KeyVersion) -> Scheme:
        return SCHEMES[version.algorithm]  # as for signatures in bundles

    def payload(self, statement: Statement, predicate: Predicate) -> bytes:
        """Fix what is signed (step 5).

        Raises:
            InvalidRequestError: no verifier could read it.
        """
        return _head(statement, predicate.type.uri) + predicate.content + _END

    def message(self, payload: bytes, scheme: Scheme) -> bytes:
        return dsse.pae(payload)

    def check(
        self,
        statement: Statement,
        payload: bytes,
        signature: bytes,
        *,
        version: KeyVersion,
        scheme: Scheme,
    ) -> None:
        """Check an attestation as cosign will, and that it says what is on record.

        Raises:
            SignatureInvalidError: StatementMalformedError and WrongStatementError are kinds of it.
        """
        said = intoto.parse_statement(payload)
        match said.unverified_subjects:
            case [only] if only.is_about(statement.digest):
                pass
            case _:
                raise WrongStatementError(f"the statement is not about {statement.digest}")
        recorded = dict(statement.annotations)
        kind = said.unverified_predicate_type
        if kind == COSIGN_SIGN or kind != recorded.get(PREDICATE_TYPE):
            raise WrongStatementError(f"its predicate is {kind}")
        head = _head(statement, kind)
        content = payload[len(head) : -len(_END)]
        if head + content + _END != payload:
            raise WrongStatementError("the statement says something else")
        if str(Digest.of(content)) != recorded.get(PREDICATE_DIGEST):
            raise WrongStatementError("the statement has another predicate")
        key = public_key(version.public_key)
        if scheme is not SCHEMES[key.algorithm]:
            raise SignatureInvalidError(f"verifiers do not check {scheme} by default")
        key.verify(scheme, dsse.pae(payload), signature)

    def log_entry(
        self, payload: bytes, signature: bytes, *, public_key: bytes, scheme: Scheme
    ) -> bytes:
        return rekor.dsse(dsse.envelope(payload, signature), payload, signature, public_key)

    def stamped(self, signature: bytes, scheme: Scheme) -> bytes | None:
        return signature

    def attachment(self, signature: Signature, subject: Descriptor) -> Referrer:
        stamp = signature.timestamp
        content = bundle(
            signature.payload,
            signature.signature,
            public_key=signature.public_key,
            logged=() if signature.log is None else (signature.log,),
            timestamps=() if stamp is None else (stamp.reply,),
        )
        kind = dict(signature.statement.annotations)[PREDICATE_TYPE]
        return predicate_referrer(content, kind, at=signature.created_at, subject=subject)


def _head(statement: Statement, predicate_type: str) -> bytes:
    return intoto.attestation_head(
        statement.digest, name=statement.identity, predicate_type=predicate_type
    )

"""Attesting at the edge: in memory, as the double of signing signs, and failing where that fails.

The predicates are checked by the production code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from service.domain.attestations import AttestationRequest, ImageToAttest
from service.domain.callers import Caller
from service.domain.errors import ServiceError
from service.domain.signing import Artifact, ImageToSign, Signature, SignedItem, SigningRequest
from service.formats.attestation import AttestationFormat
from service.formats.predicates.check import checked_predicate


class SoftwareAttesting:
    def __init__(self, sign: Callable[..., tuple[SignedItem, ...]], journal: Any) -> None:
        self.sign = sign
        self.journal = journal
        self.requests: list[AttestationRequest] = []

    def __call__(
        self,
        caller: Caller,
        request: AttestationRequest,
        *,
        idempotency_key: str | None,
        body_hash: str,
    ) -> tuple[SignedItem, ...]:
        self.requests.append(request)
        images = tuple(ImageToSign(a.unverified_reference, a.item_id) for a in request.attestations)
        wanted = SigningRequest(images, request.key, attach=request.attach, force=request.force)
        made = self.sign(caller, wanted, idempotency_key=idempotency_key, body_hash=body_hash)
        return tuple(map(self._attested, made, request.attestations))

    def _attested(self, item: SignedItem, wanted: ImageToAttest) -> SignedItem:
        if item.error is not None:
            return item
        [signed] = item.signatures
        try:
            predicate = checked_predicate(wanted.predicate_type, wanted.unverified_predicate)
        except ServiceError as error:
            return replace(item, signatures=(), error=error)
        statement = replace(
            signed.statement, format="attestation", annotations=predicate.annotations()
        )
        payload = AttestationFormat().payload(statement, predicate)
        attested = replace(signed, statement=statement, payload=payload)
        if signed in self.journal.signatures:
            self.journal.signatures[self.journal.signatures.index(signed)] = attested
        return replace(item, signatures=(attested,))

    def artifact(self, item: SignedItem, signature: Signature) -> Artifact:
        return Artifact(None, None, "application/json", b"{}", (signature.payload,))

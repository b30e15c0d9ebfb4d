"""Signs what tools of others have made: the signing cycle for payloads that come from outside.

The numbers are those of docs/signing-cycle.md; steps 3 and 11 are the caller's own work, and so is
the making of the bytes (5): here they are read. There is no way past the reading, so that neither
arbitrary bytes nor a predicate that the key is not for can be signed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from service.domain.attestations import PREDICATE_TYPE
from service.domain.audit import AuditEvent
from service.domain.callers import Caller
from service.domain.errors import (
    ForbiddenError,
    ImageNotFoundError,
    KeyNotFoundError,
    KeyNotUsableError,
    PayloadNotSignableError,
    PolicyDeniedError,
    PredicateNotAllowedError,
    ServiceError,
)
from service.domain.ids import new_id
from service.domain.keys import Key, KeyVersion, Purpose
from service.domain.limits import MAX_NAME_CHARS
from service.domain.payloads import (
    PAYLOAD_ANNOTATION,
    Encoding,
    PayloadRequest,
    SignedPayload,
)
from service.domain.references import NO_REPOSITORY, Repository
from service.domain.signing import Signature, SignedItem, Statement
from service.formats import payloads
from service.formats.payloads import Claim, PayloadForm
from service.operations.cycle import Run, SigningCycle
from service.operations.decide import require
from service.operations.log import SignatureLog
from service.operations.replay import Replays
from service.operations.units import Unit
from service.policy.attesting import AttestingPolicy, may_attest_payload
from service.policy.decisions import Deny
from service.policy.signing import SigningPolicy, may_sign_payload, may_sign_payloads
from service.ports.registry import RegistryReader
from service.ports.store import (
    AuditTrail,
    IdempotentRequest,
    KeyCatalog,
    SigningJournal,
)

_REFUSALS = (
    ForbiddenError,
    PolicyDeniedError,
    PayloadNotSignableError,
    PredicateNotAllowedError,
)


@dataclass(frozen=True, slots=True)
class SignPayload:
    keys: KeyCatalog
    registry: RegistryReader
    policy: Callable[[], SigningPolicy]
    attesting: Callable[[], AttestingPolicy]
    journal: SigningJournal
    cycle: SigningCycle
    forms: Mapping[Encoding, PayloadForm]
    audit: AuditTrail
    replays: Replays
    log: SignatureLog

    def __call__(
        self,
        caller: Caller,
        request: PayloadRequest,
        *,
        idempotency_key: str | None,
        body_hash: str,
    ) -> SignedPayload:
        """Sign one payload, or answer with the signature that stands over exactly its bytes.

        Raises:
            KeyNotFoundError, KeyNotUsableError, UnsupportedFormatError: about the key.
            ForbiddenError, PolicyDeniedError: the caller may not.
            PayloadNotSignableError, PredicateNotAllowedError: nobody may.
            RegistryNotConfiguredError, ImageNotFoundError: about the repository that it names.
            IdempotencyKeyReusedError, RequestInProgressError: about the Idempotency-Key.
            HSMUnavailableError, StoreUnavailableError, LogUnavailableError, …
        """
        owner = new_id("own")
        if idempotency_key is None:
            return self._run(caller, request, owner=owner, held=None)
        with self.replays.holding(
            caller, idempotency_key, body_hash=body_hash, owner=owner
        ) as replay:
            made = self._run(caller, request, owner=owner, held=replay.request)
            signature = made.signature
            digest = signature.statement.digest
            replay.results = (SignedItem(str(digest), None, digest, (signature,)),)
            return made

    def _run(
        self,
        caller: Caller,
        request: PayloadRequest,
        *,
        owner: str,
        held: IdempotentRequest | None,
    ) -> SignedPayload:
        request_id = held.id if held is not None else new_id("req")
        try:
            unit = self._prepared(caller, request)
        except _REFUSALS as refused:
            self._audit_refusal(caller, request, refused)
            raise
        earlier = self.replays.earlier(held, 1)
        standing = self.journal.standing([unit.statement_hash])
        if 0 in earlier:
            [signature] = earlier[0].signatures
        elif unit.statement_hash in standing:
            signature = standing[unit.statement_hash]
        else:
            signature = self._signed(
                unit, Run(caller.credential_id, request_id, owner, False, False)
            )
        # (10) Nothing leaves unlogged.
        [logged] = self.log.proven([signature], are_new=False)
        if isinstance(logged, ServiceError):
            raise logged
        # (12) Answer.
        form = self.forms[request.encoding]
        value = form.value(logged.signature, logged.scheme)
        return SignedPayload(request.encoding, logged, value, form.chain(logged))

    def _signed(self, unit: Unit, run: Run) -> Signature:
        self.log.require()
        # (6) to (9)
        [[completed]] = self.cycle([([unit], run)])
        if completed.signature is None:
            raise completed.error or KeyNotUsableError("the signature was not made")
        return completed.signature

    def _prepared(self, caller: Caller, request: PayloadRequest) -> Unit:
        """(2) Decide, on data alone; (5) read the exact bytes to be signed."""
        key = self.keys.get(request.key)
        if key is None:
            raise KeyNotFoundError(f"there is no key {request.key!r}")
        require(may_sign_payloads(caller, key=key.name))
        try:
            claim = payloads.read(request.encoding, request.unverified_payload)
        except payloads.PayloadMalformedError as error:
            raise PayloadNotSignableError(f"not signed as {request.encoding}: {error}") from error
        _check_purpose(key, claim)
        repository = self._authorised(caller, key, claim)
        # The newest: whoever asks for the public key is answered with it.
        version = _newest_active(key)
        return self._unit(request.encoding, claim, version, repository)

    def _authorised(self, caller: Caller, key: Key, claim: Claim) -> Repository:
        repository = None
        if claim.name is not None:
            repository = self.registry.public_repository(claim.name.repository)
        policy: SigningPolicy | AttestingPolicy
        if claim.predicate_type is None:
            policy = self.policy()
            decision = may_sign_payload(policy, caller, repository, key=key.name)
        else:
            policy = self.attesting()
            decision = may_attest_payload(
                policy, caller, repository, key=key.name, predicate_type=claim.predicate_type
            )
        if isinstance(decision, Deny):
            raise PolicyDeniedError(*decision.reasons)
        if repository is None:
            return NO_REPOSITORY
        if policy.must_exist and self.registry.resolve(repository, claim.digest) is None:
            raise ImageNotFoundError(f"the registry has no {repository}@{claim.digest}")
        return repository

    def _unit(
        self, encoding: Encoding, claim: Claim, version: KeyVersion, repository: Repository
    ) -> Unit:
        form = self.forms[encoding]
        scheme = form.scheme(version)
        if claim.scheme not in (None, scheme):
            raise PayloadNotSignableError(
                f"it asks for {claim.scheme}, and {version.subject} signs {scheme} there"
            )
        statement = Statement(
            form.name,
            version.key,
            version.version,
            repository,
            claim.digest,
            "" if claim.name is None else str(claim.name),
            _annotations(claim, form.fingerprint(claim.content, scheme)),
        )
        return Unit(0, statement, statement.hash(), version, scheme, claim.content)

    def _audit_refusal(
        self, caller: Caller, request: PayloadRequest, refused: ServiceError
    ) -> None:
        details = {
            "code": refused.code,
            "detail": str(refused)[:500],
            "encoding": request.encoding,
        }
        subject = request.key[:MAX_NAME_CHARS]
        self.audit.append([AuditEvent("payload.refused", caller.name, subject, details)])


def _check_purpose(key: Key, claim: Claim) -> None:
    match key.purpose:
        case Purpose.IMAGE if claim.signs_an_image:
            return
        case Purpose.ATTESTATION if not claim.signs_an_image:
            return
        case Purpose.IMAGE:
            kind = "" if claim.predicate_type is None else claim.predicate_type.uri
            what = f"{key.name} signs images, and no statement of type {kind}"
            raise PredicateNotAllowedError(what)
        case Purpose.ATTESTATION:
            raise PredicateNotAllowedError(f"{key.name} signs attestations, and this is an image's")
        case _:
            raise KeyNotUsableError(f"{key.name} is a key for {key.purpose}, not for payloads")


def _annotations(claim: Claim, fingerprint: str) -> tuple[tuple[str, str], ...]:
    """Return what is on record of the bytes: which they are, and what they attest."""
    told = ((PAYLOAD_ANNOTATION, fingerprint),)
    if claim.predicate_type is None:
        return told
    return (*told, (PREDICATE_TYPE, claim.predicate_type.uri))


def _newest_active(key: Key) -> KeyVersion:
    active = key.active()
    if not active:
        raise KeyNotUsableError(f"no version of {key.name} is active")
    return active[-1]

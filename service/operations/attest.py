"""Steps 2 to 5 of the signing cycle for attestations, which then go through the same cycle.

2. Decide by a policy of its own. 3. Resolve. 4. The key is one for attestations. 5. Check the
predicate and fix the statement. What is wrong with one image or predicate is that item's own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from service.domain.attestations import AttestationRequest, ImageToAttest, Predicate
from service.domain.callers import Caller
from service.domain.digests import Descriptor, Digest
from service.domain.errors import PolicyDeniedError, ServiceError
from service.domain.keys import Purpose
from service.domain.purposes import (
    AttestationKey,
    AttestationVersion,
    attestation_key,
    attestation_versions,
)
from service.domain.references import Reference, Repository
from service.domain.signing import Statement
from service.formats.attestation import AttestationFormat
from service.formats.predicates.check import checked_predicate
from service.operations.choose import choose_key
from service.operations.fanout import Fanout
from service.operations.pin import names_tag, parsed, resolved
from service.operations.units import Prepared, Unit
from service.policy.attesting import AttestingPolicy, may_attest
from service.policy.decisions import Deny
from service.ports.registry import RegistryReader
from service.ports.store import KeyCatalog


@dataclass(frozen=True, slots=True)
class _Plan:
    """What holds for every item of one request."""

    caller: Caller
    request: AttestationRequest
    policy: AttestingPolicy
    key: AttestationKey
    versions: tuple[AttestationVersion, ...]
    settled: Collection[int] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class PrepareAttestations:
    keys: KeyCatalog
    registry: RegistryReader
    form: AttestationFormat
    policy: Callable[[], AttestingPolicy]
    fanout: Fanout

    def __call__(
        self, caller: Caller, request: AttestationRequest, *, settled: Collection[int]
    ) -> Sequence[Prepared]:
        """Prepare each item. Items in `settled` are authorised, and nothing more.

        Raises:
            ServiceError: about the key of the request.
        """
        key = attestation_key(choose_key(self.keys, caller, request.key, Purpose.ATTESTATION))
        plan = _Plan(caller, request, self.policy(), key, attestation_versions(key), settled)
        return self.fanout.map(lambda index: self._item(plan, index), range(request.size))

    def _item(self, plan: _Plan, index: int) -> Prepared:
        wanted = plan.request.attestations[index]
        shown = wanted.unverified_reference
        try:
            reference = parsed(shown)
            repository = self._allowed(plan, reference, wanted)
            if index in plan.settled:
                return Prepared(index, shown, wanted.item_id)
            # (3) Before the predicate: of an image that is gone nothing more is asked.
            digest, descriptor = self._pinned(plan, reference, wanted)
            predicate = checked_predicate(wanted.predicate_type, wanted.unverified_predicate)
            units = tuple(
                self._unit(index, repository, digest, predicate, version, subject=descriptor)
                for version in plan.versions
            )
        except ServiceError as error:
            return Prepared(index, shown, wanted.item_id, error=error)
        return Prepared(index, shown, wanted.item_id, digest, descriptor, units=units)

    def _allowed(self, plan: _Plan, reference: Reference, wanted: ImageToAttest) -> Repository:
        """(2) Decide, on data alone."""
        repository = self.registry.public_repository(reference.repository)
        decision = may_attest(
            plan.policy,
            plan.caller,
            repository,
            key=plan.key.name,
            pinned=reference.digest is not None,
            predicate_type=wanted.predicate_type,
        )
        if isinstance(decision, Deny):
            raise PolicyDeniedError(*decision.reasons)
        return repository

    def _pinned(
        self, plan: _Plan, reference: Reference, wanted: ImageToAttest
    ) -> tuple[Digest, Descriptor | None]:
        asks = plan.request.attach or plan.policy.must_exist
        if reference.digest is not None and not asks and not names_tag(wanted.unverified_reference):
            return reference.digest, None
        found = resolved(self.registry, reference)
        return found.digest, found

    def _unit(
        self,
        index: int,
        repository: Repository,
        digest: Digest,
        predicate: Predicate,
        version: AttestationVersion,
        *,
        subject: Descriptor | None,
    ) -> Unit:
        """(5) Fix the exact bytes."""
        statement = Statement(
            self.form.name,
            version.key,
            version.version,
            repository,
            digest,
            str(repository),
            predicate.annotations(),
        )
        return Unit(
            index,
            statement,
            statement.hash(),
            version,
            self.form.scheme(version),
            self.form.payload(statement, predicate),
            subject,
        )

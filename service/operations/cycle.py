"""Steps 6 to 9 of the signing cycle (docs/signing-cycle.md), for units whose bytes are fixed.

6. Commit the intent. 7. Sign in the HSM. 8. Verify in software. 9. Commit the outcome.

Nothing leaves before step 9 has committed; what dies between 7 and 9 is an intent without an
outcome, which the record shows and nobody signs again by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from service.domain.errors import HSMUnavailableError, ServiceError, StoreUnavailableError
from service.domain.ids import new_id
from service.domain.keys import KeyVersion, Scheme
from service.domain.limits import INTENT_LEASE_SECONDS, ORDER_LEASE_SECONDS
from service.domain.signing import Intent, Outcome
from service.operations.renewal import LeaseRenewer
from service.operations.units import Unit
from service.ports.formats import SignedForm
from service.ports.hsm import Signer, ToSign
from service.ports.steps import StepObserver
from service.ports.store import Completed, SigningJournal


@dataclass(frozen=True, slots=True)
class Run:
    """On whose behalf units are signed. `attach`: orders are placed for the signatures.

    `promises`: where the caller attaches, what it attaches carries the log's promises. `first` is the
    place of its first item among those of the request, of which it may be a part.
    """

    credential_id: str
    request_id: str
    owner: str
    attach: bool
    force: bool
    promises: bool = False
    first: int = 0


def _always() -> None:
    return None


@dataclass(frozen=True, slots=True)
class SigningCycle:
    journal: SigningJournal
    signer: Signer
    formats: Mapping[str, SignedForm]
    renewer: LeaseRenewer
    steps: StepObserver
    may_sign: Callable[[], None] = _always
    """Raises where nothing is to be signed now, in no request."""

    def __call__(
        self, shares: Sequence[tuple[Sequence[Unit], Run]]
    ) -> Sequence[Sequence[Completed]]:
        """Sign units for which nothing stands, of one or more requests at once.

        Each share is answered in the order of its units, each unit by itself. The intents of
        all of them are held by one lease.

        Raises:
            StoreUnavailableError: nothing was signed, or nothing of it leaves.
            MaintenanceError: nothing was signed.
        """
        self.may_sign()
        units = [unit for share, _ in shares for unit in share]
        runs = [run for share, run in shares for _ in share]
        done = iter(self._sign(units, runs, {run.request_id for _, run in shares}))
        return [[next(done) for _ in share] for share, _ in shares]

    def _sign(
        self, units: Sequence[Unit], runs: Sequence[Run], requests: Collection[str]
    ) -> Sequence[Completed]:
        owner = runs[0].owner
        intents = [self._intent(unit, run) for unit, run in zip(units, runs, strict=True)]
        # (6) If we die after (7), there is a record of what was about to be signed.
        self.journal.intend(intents, owner=owner, seconds=INTENT_LEASE_SECONDS)
        self.steps.reached(6)
        renew = partial(self._renew, requests, owner)
        with self.renewer.holding(renew, every=INTENT_LEASE_SECONDS / 3):
            # (7) Sign, and (8) verify each signature before it is believed.
            signatures = self._sign_and_verify(units)
            outcomes: list[Outcome] = []
            failures: dict[int, ServiceError] = {}
            for number, (unit, run, intent, result) in enumerate(
                zip(units, runs, intents, signatures, strict=True)
            ):
                if isinstance(result, ServiceError):
                    failures[number] = result
                    continue
                entry = self._form(unit).log_entry(
                    unit.payload, result, public_key=unit.version.public_key, scheme=unit.scheme
                )
                chain = unit.version.chain
                outcomes.append(
                    Outcome(
                        intent,
                        new_id("sig"),
                        result,
                        entry,
                        force=run.force,
                        chain=() if chain is None else chain.certificates,
                    )
                )
            # (9) Only now may it leave.
            committed = iter(
                self.journal.complete(
                    outcomes, owner=owner, order_lease_seconds=ORDER_LEASE_SECONDS
                )
                if outcomes
                else ()
            )
        self._abandon(intents, failures, owner=owner)
        self.steps.reached(9)
        return [
            Completed(error=failures[number]) if number in failures else next(committed)
            for number in range(len(units))
        ]

    def _renew(self, requests: Collection[str], owner: str) -> None:
        for request_id in requests:
            self.journal.renew(request_id, owner=owner, seconds=INTENT_LEASE_SECONDS)

    def _sign_and_verify(self, units: Sequence[Unit]) -> Sequence[bytes | ServiceError]:
        """Steps 7 and 8, one call of the signer for each key version and scheme."""
        results: list[bytes | ServiceError | None] = [None] * len(units)
        groups: dict[tuple[KeyVersion, Scheme], list[int]] = {}
        for number, unit in enumerate(units):
            groups.setdefault((unit.version, unit.scheme), []).append(number)
        for (version, scheme), numbers in groups.items():
            items = [self._to_sign(units[number]) for number in numbers]
            try:
                signed = self.signer.sign(version, scheme, items)
            except ServiceError as error:
                signed = [error] * len(items)
            for number, result in zip(numbers, signed, strict=True):
                results[number] = result
        return [
            r if r is not None else HSMUnavailableError("the signer gave no answer")
            for r in results
        ]

    def _to_sign(self, unit: Unit) -> ToSign:
        form = self._form(unit)
        message = form.message(unit.payload, unit.scheme)
        return ToSign(message, partial(_check_signature, form, unit, steps=self.steps))

    def _abandon(
        self, intents: Sequence[Intent], failures: Mapping[int, ServiceError], *, owner: str
    ) -> None:
        """Close the intents that certainly came to nothing; what failed here stays unknown."""
        by_code: dict[str, list[str]] = {}
        for number, error in failures.items():
            by_code.setdefault(error.code, []).append(intents[number].id)
        for code, ids in by_code.items():
            try:
                self.journal.abandon(ids, owner=owner, reason=code)
            except StoreUnavailableError:
                # They show up as outcome-unknown, which is the truth as far as it is known.
                return

    def _intent(self, unit: Unit, run: Run) -> Intent:
        return Intent(
            id=new_id("int"),
            request_id=run.request_id,
            item=run.first + unit.item,
            statement=unit.statement,
            statement_hash=unit.statement_hash,
            scheme=unit.scheme,
            payload=unit.payload,
            public_key=unit.version.public_key,
            credential_id=run.credential_id,
            attach=self._form(unit).kind if run.attach else None,
            subject=unit.subject,
        )

    def _form(self, unit: Unit) -> SignedForm:
        return self.formats[unit.statement.format]


def _check_signature(
    form: SignedForm, unit: Unit, signature: bytes, *, steps: StepObserver
) -> None:
    steps.reached(7)
    # (8) Against the pinned public key and the item's own digest, by the format's rules.
    form.check(unit.statement, unit.payload, signature, version=unit.version, scheme=unit.scheme)
    steps.reached(8)

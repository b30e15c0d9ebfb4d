"""Steps 6 to 10 of the signing cycle for units whose bytes are fixed: signed, recorded, proven.

Requests of a few images that come at the same time go through the steps together. Each step
costs about as much for eight of them as for one: a commit, a call of the token's threads, a
checkpoint of the log.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from service.domain.clock import Clock
from service.domain.errors import ServiceError
from service.domain.outbox import Order
from service.domain.signing import Signature
from service.operations.cycle import Run, SigningCycle
from service.operations.joint import Joint
from service.operations.log import SignatureLog
from service.operations.units import Unit
from service.ports.store import SigningJournal

MAX_JOINT_UNITS: Final = 16  # of one request: a large batch gains nothing by company


@dataclass(slots=True)
class Made:
    """What one request's units have come to. What `logged` holds by its id may leave."""

    results: dict[Unit, Signature | ServiceError] = field(default_factory=dict)
    logged: Mapping[str, Signature | ServiceError] = field(default_factory=dict)
    signed: Sequence[Unit] = ()
    """Those for which nothing stood."""
    orders: dict[Order, list[str]] = field(default_factory=dict)
    """The orders whose lease came with step 9, each with the ids of its signatures."""


_Share = tuple[Sequence[Unit], Run]


class SignUnits:
    def __init__(
        self, journal: SigningJournal, cycle: SigningCycle, log: SignatureLog, clock: Clock
    ) -> None:
        self._journal: Final = journal
        self._cycle: Final = cycle
        self._log: Final = log
        # Not apart: nothing is signed twice because something failed.
        self._joint: Final = Joint(self._together, apart=False, clock=clock)

    def __call__(self, units: Sequence[Unit], run: Run) -> Made:
        """Answer what stands with its signature, and sign the rest; with `force` everything.

        Raises:
            StoreUnavailableError: nothing was signed, or nothing of it leaves.
            LogUnavailableError, LogRolledBackError, MaintenanceError: nothing was signed.
        """
        if not units:
            return Made()
        # Those who order attachments, or replace what stands, depend on the order of callers.
        if run.attach or run.force or len(units) > MAX_JOINT_UNITS:
            return self._together([(units, run)])[0]
        return self._joint((units, run))

    def may_sign(self) -> None:
        """Raise MaintenanceError where nothing is to be signed now, in no request."""
        self._cycle.may_sign()

    def _together(self, shares: Sequence[_Share]) -> Sequence[Made]:
        asked = [unit.statement_hash for units, run in shares if not run.force for unit in units]
        standing = self._journal.standing(asked)
        made = [Made() for _ in shares]
        wanted: list[tuple[Made, Sequence[Unit], Run]] = []
        for mine, (units, run) in zip(made, shares, strict=True):
            stands = {} if run.force else standing
            mine.results = {
                u: stands[u.statement_hash] for u in units if u.statement_hash in stands
            }
            missing = [unit for unit in units if unit not in mine.results]
            if missing:
                mine.signed = missing
                wanted.append((mine, missing, run))
        if wanted:
            self._log.require()
            self._sign(wanted)
        self._prove(made, are_new=not standing)
        return made

    def _sign(self, wanted: Sequence[tuple[Made, Sequence[Unit], Run]]) -> None:
        done = self._cycle([(units, run) for _, units, run in wanted])
        for (mine, units, _), outcomes in zip(wanted, done, strict=True):
            for unit, completed in zip(units, outcomes, strict=True):
                if completed.signature is not None:
                    mine.results[unit] = completed.signature
                    if completed.order is not None:
                        signed = mine.orders.setdefault(completed.order, [])
                        signed.append(completed.signature.id)
                elif completed.error is not None:
                    mine.results[unit] = completed.error

    def _prove(self, made: Sequence[Made], *, are_new: bool) -> None:
        """(10) Nothing leaves unlogged."""
        results = (result for mine in made for result in mine.results.values())
        logged = proven(self._log, results, are_new=are_new)
        for mine in made:
            ids = [one.id for one in mine.results.values() if isinstance(one, Signature)]
            mine.logged = {one: logged[one] for one in ids}


def proven(
    log: SignatureLog, results: Iterable[Signature | ServiceError], *, are_new: bool
) -> Mapping[str, Signature | ServiceError]:
    """Return each signature with its proof, by its id, or what keeps it from leaving."""
    signatures = list({one.id: one for one in results if isinstance(one, Signature)}.values())
    if not signatures:
        return {}
    found = log.proven(signatures, are_new=are_new)
    return dict(zip((one.id for one in signatures), found, strict=True))

"""The acts that move a version by the table of states: activate, retire, unsuspend, destroy."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain.acts import Act, ActKind, Performed
from service.domain.audit import AuditEvent
from service.domain.errors import InvalidRequestError
from service.domain.keys import KeyState, KeyVersion
from service.domain.lifecycle import Move, check_move, fingerprint_of, version_of
from service.operations.generate_key import summary
from service.operations.key_lease import held_key
from service.ports.hsm import KeyMaker
from service.ports.store import AuditTrail, KeyCatalog, Leases

_GOALS = {
    ActKind.ACTIVATE: KeyState.ACTIVE,
    ActKind.UNSUSPEND: KeyState.ACTIVE,
    ActKind.RETIRE: KeyState.RETIRED,
    ActKind.DESTROY: KeyState.DESTROYED,
}


def act_of(move: Move, before: KeyState) -> Act | None:
    """Return the act that the move is; None for what one custodian does at once."""
    match move.to:
        case KeyState.ACTIVE if before is KeyState.SUSPENDED:
            kind = ActKind.UNSUSPEND
        case KeyState.ACTIVE:
            kind = ActKind.ACTIVATE
        case KeyState.RETIRED:
            kind = ActKind.RETIRE
        case KeyState.DESTROYED:
            kind = ActKind.DESTROY
        case _:
            return None
    return Act(kind, move.subject, {"reason": move.reason, "alongside": move.alongside})


def move_of(act: Act) -> Move:
    """Raises InvalidRequestError if the subject is not `name/number`."""
    name, _, number = act.subject.rpartition("/")
    if not name or not (number.isascii() and number.isdecimal()):
        raise InvalidRequestError(f"not a version: {act.subject[:100]!r}")
    reason, alongside = act.arguments.get("reason"), act.arguments.get("alongside")
    return Move(
        name,
        int(number),
        _GOALS[act.kind],
        reason=None if reason is None else str(reason),
        alongside=None if alongside is None else bool(alongside),
    )


@dataclass(frozen=True, slots=True)
class MoveVersion:
    """Performs moves that concern the record alone. The value is the KeyVersion.

    The store judges each move under its own lock; the key is held besides, so that nothing is
    activated whose private key is being destroyed at that moment.
    """

    catalog: KeyCatalog
    leases: Leases

    def check(self, act: Act) -> str:
        return checked(self.catalog, move_of(act))[1]

    def perform(self, act: Act, *, actor: str) -> Performed:
        move = move_of(act)
        with held_key(self.leases, move.key):
            moved = self.catalog.move(move, actor=actor)
        return Performed(moved, summary(moved))


@dataclass(frozen=True, slots=True)
class DestroyVersion:
    """Destroys the key pair on every token that holds it, and then says so.

    If we die in between, the version is what it was and its key is gone: asked again, the
    token has nothing left to destroy, and the record follows.
    """

    catalog: KeyCatalog
    maker: KeyMaker
    leases: Leases
    audit: AuditTrail

    def check(self, act: Act) -> str:
        return checked(self.catalog, move_of(act))[1]

    def perform(self, act: Act, *, actor: str) -> Performed:
        move = move_of(act)
        with held_key(self.leases, move.key):
            version, _ = checked(self.catalog, move)
            details = {"fingerprint": version.fingerprint, "reason": move.reason}
            self.audit.append(
                [AuditEvent("key.destruction-begun", actor, version.subject, details)]
            )
            self.maker.destroy(version)
            moved = self.catalog.move(move, actor=actor)
        return Performed(moved, summary(moved))


def checked(catalog: KeyCatalog, move: Move) -> tuple[KeyVersion, str]:
    """Return the version and a fingerprint of what the move depends on.

    Raises:
        KeyNotFoundError, KeyMoveForbiddenError, InvalidRequestError.
    """
    key = catalog.get(move.key)
    version = version_of(key, move.key, move.version)
    check_move(version, move)
    others = [] if key is None else [v.version for v in key.active() if v != version]
    # What else is active decides what an activation takes the place of, and nothing more.
    depends = others if move.to is KeyState.ACTIVE else []
    return version, fingerprint_of(version.subject, version.state, version.fingerprint, depends)

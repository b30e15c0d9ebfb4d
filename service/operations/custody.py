"""What custodians do with keys: each request checked for its role, made an act, and audited.

Whatever policy may want a quorum for goes through `Acts.request`. Stopping a key does not:
`suspended` and `compromised` need one custodian, and happen at once.
"""

from __future__ import annotations

from dataclasses import dataclass

from service.domain.acts import Act, Performed
from service.domain.approvals import Approval
from service.domain.callers import Caller
from service.domain.clock import Clock
from service.domain.errors import InvalidRequestError
from service.domain.keys import CALLERS_PURPOSES, Purpose
from service.domain.lifecycle import Move, check_move, version_of
from service.operations.acts import Acts
from service.operations.adopt_key import Adoption
from service.operations.decide import require_action
from service.operations.generate_key import Generation, summary
from service.operations.move_version import act_of
from service.operations.refusals import refusals_told
from service.policy.roles import Action
from service.ports.store import AuditTrail, KeyCatalog


@dataclass(frozen=True, slots=True)
class Custody:
    acts: Acts
    catalog: KeyCatalog
    audit: AuditTrail
    clock: Clock

    def generate(self, caller: Caller, wanted: Generation) -> Performed | Approval:
        """Make a key, or a new version of one. The value is the Key or the KeyVersion.

        Raises:
            ForbiddenError, InvalidRequestError, KeyExistsError, KeyNotFoundError, BusyError,
            UnsupportedAlgorithmError, KeyUnprotectedError, TokenNotFoundError,
            HSMUnavailableError, PINRefusedError.
        """
        if wanted.purpose is Purpose.CA:
            raise InvalidRequestError(
                "our own CA's key is made when it is first needed",
                errors={"purpose": [f"one of {', '.join(CALLERS_PURPOSES)}"]},
            )
        return self._request(caller, Action.CREATE_KEY, wanted.act())

    def adopt(self, caller: Caller, wanted: Adoption) -> Performed | Approval:
        """Take over a key that lies on a token. The value is the Key or the KeyVersion.

        Raises:
            ForbiddenError, PolicyDeniedError, InvalidRequestError, PublicKeyTakenError,
            KeyNotUsableError, UnsupportedAlgorithmError, and what `KeyMaker.adopt` raises.
        """
        return self._request(caller, Action.CREATE_KEY, wanted.act())

    def move(self, caller: Caller, move: Move) -> Performed | Approval:
        """Move a version to another state. The value is the KeyVersion.

        Raises:
            ForbiddenError, KeyNotFoundError, KeyMoveForbiddenError, InvalidRequestError,
            BusyError, and what `KeyMaker.destroy` raises.
        """

        with refusals_told(self.audit, caller, move.subject, f"move to {move.to}"):
            require_action(caller, Action.CHANGE_KEY)
            if move.since is not None and move.since > self.clock.now():
                raise InvalidRequestError(
                    "since lies in the future", errors={"since": ["in the future"]}
                )
            version = version_of(self.catalog.get(move.key), move.key, move.version)
            check_move(version, move)
            act = act_of(move, version.state)
            if act is not None:
                return self.acts.request(caller, act)
            moved = self.catalog.move(move, actor=caller.name)
            return Performed(moved, summary(moved))

    def _request(self, caller: Caller, action: Action, act: Act) -> Performed | Approval:
        with refusals_told(self.audit, caller, act.subject, act.kind.value):
            require_action(caller, action)
            return self.acts.request(caller, act)

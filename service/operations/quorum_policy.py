"""The quorum rules as people see them, and how they ask for looser ones."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain.acts import Performed
from service.domain.approvals import Approval
from service.domain.callers import Caller
from service.operations.acts import Acts
from service.operations.decide import require_action
from service.operations.quorum import Quorum, QuorumStatus
from service.policy.roles import Action


@dataclass(frozen=True, slots=True)
class QuorumPolicy:
    quorum: Quorum
    acts: Acts

    def show(self, caller: Caller) -> QuorumStatus:
        """Raises ForbiddenError."""
        require_action(caller, Action.SEE_QUORUM)
        return self.quorum.status()

    def loosen(self, caller: Caller) -> Performed | Approval:
        """Ask for the policy file's rules where they are looser than those in force.

        Raises:
            ForbiddenError, NothingToLoosenError.
        """
        require_action(caller, Action.LOOSEN_QUORUM)
        return self.acts.request(caller, self.quorum.loosening())

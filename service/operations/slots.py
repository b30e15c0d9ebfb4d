"""Slots and tokens, and the one more try of a PIN that a token refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from service.domain.audit import AuditEvent
from service.domain.callers import Caller
from service.operations.decide import require_action
from service.policy.roles import Action
from service.ports.hsm import TokenMechanism, Tokens, TokenStatus
from service.ports.store import AuditTrail, PINLatch


@dataclass(frozen=True, slots=True)
class Slots:
    tokens: Tokens
    latch: PINLatch
    audit: AuditTrail

    def list(self, caller: Caller) -> Sequence[TokenStatus]:
        """Initialised tokens first."""
        require_action(caller, Action.SEE_SLOTS)
        return sorted(self.tokens.status(), key=lambda s: (not s.initialized, s.token or ""))

    def mechanisms(self, caller: Caller, token: str) -> Sequence[TokenMechanism]:
        """Raises ForbiddenError, TokenNotFoundError, HSMUnavailableError."""
        require_action(caller, Action.SEE_SLOTS)
        return self.tokens.mechanisms(token)

    def login(self, caller: Caller, token: str) -> TokenStatus:
        """Clear the latch and try the PIN exactly once.

        Raises:
            ForbiddenError, TokenNotFoundError, PINRefusedError (latched again).
        """
        require_action(caller, Action.LOGIN)
        label = self.tokens.label_of(token)
        self.audit.append([AuditEvent("token.login-retried", caller.name, label)])
        self.latch.clear(label, actor=caller.name)
        return self.tokens.login_once(token)

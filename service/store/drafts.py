"""What step 9 can make ready before its transaction begins, which holds up everybody else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from service.domain.audit import AuditEvent
from service.domain.signing import Outcome
from service.store.audit import AuditFrame, frame
from service.store.rows import payload_sha256, statement_values

MAX_JOINT_OUTCOMES: Final = 16  # of one caller: a large batch gains nothing by company


@dataclass(frozen=True, slots=True)
class Draft:
    """An outcome, its row without the time, and the bytes of its audit event."""

    outcome: Outcome
    row: tuple[Any, ...]
    event: AuditFrame


@dataclass(frozen=True, slots=True)
class Share:
    """One caller's part of a transaction."""

    drafts: Sequence[Draft]
    owner: str
    order_seconds: float

    @property
    def may_join_others(self) -> bool:
        """Whether the callers of one transaction may be answered from one look at what stands.

        Not if it orders attachments, or replaces what stands: the order of callers matters.
        """
        return len(self.drafts) <= MAX_JOINT_OUTCOMES and not any(
            made.outcome.force or made.outcome.intent.attach is not None for made in self.drafts
        )


def draft(outcome: Outcome) -> Draft:
    intent = outcome.intent
    row = (
        outcome.signature_id,
        intent.id,
        True,
        *statement_values(intent),
        intent.payload,
        outcome.signature,
        intent.credential_id,
    )
    return Draft(outcome, row, frame(_made_event(outcome)))


def _made_event(outcome: Outcome) -> AuditEvent:
    statement = outcome.intent.statement
    return AuditEvent(
        action="signature.made",
        actor=outcome.intent.credential_id,
        subject=outcome.signature_id,
        details={
            "annotations": statement.annotations,
            "digest": str(statement.digest),
            "forced": outcome.force,
            "format": statement.format,
            "identity": statement.identity,
            "intent": outcome.intent.id,
            "key": statement.key,
            "payload_sha256": payload_sha256(outcome.intent),
            "repository": str(statement.repository),
            "request": outcome.intent.request_id,
            "scheme": outcome.intent.scheme,
            "statement": outcome.intent.statement_hash,
            "version": statement.version,
        },
    )

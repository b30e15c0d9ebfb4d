"""From what was found, and what could not be asked, to one verdict with its reasons."""

from __future__ import annotations

from collections.abc import Sequence

from service.domain.verdicts import Reason, ReasonCode, SignatureVerdict, Verdict


def conclude(
    found: Sequence[SignatureVerdict], unanswered: Sequence[Reason]
) -> tuple[Verdict, tuple[Reason, ...]]:
    """Decide: one standing signature verifies; what could not be asked forbids any no.

    Reasons of signatures that do not stand are told beside a `verified`: they are reasons,
    not vetoes, because anybody who can push can add a bad signature.
    """
    standing = [s for s in found if s.stands]
    reasons = _distinct([s.reason for s in standing] + [s.reason for s in found if not s.stands])
    if standing:
        return Verdict.VERIFIED, reasons
    if unanswered:
        return Verdict.UNKNOWN, _distinct([*unanswered, *reasons])
    if found:
        return Verdict.REJECTED, reasons
    return Verdict.UNSIGNED, (
        Reason(ReasonCode.NO_SIGNATURE, "the registry answered, and it holds no signature"),
    )


def _distinct(reasons: Sequence[Reason]) -> tuple[Reason, ...]:
    return tuple(dict.fromkeys(reasons))

"""From what was found, and what could not be asked, to one verdict with its reasons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from service.domain.verdicts import ImageVerdict, Reason, ReasonCode, SignatureVerdict, Verdict


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


def with_children(index: ImageVerdict, children: Sequence[ImageVerdict]) -> ImageVerdict:
    """Return the verdict of an index with those of its manifests: as bad as the worst of them.

    Clients differ in which of them they check, so that one that is not verified is enough for
    somebody to run what nobody has signed.
    """
    lacking = [child for child in children if child.verdict is not Verdict.VERIFIED]
    verdicts = {index.verdict, *(child.verdict for child in lacking)}
    # A no is a no, whatever else nobody could tell.
    order = (Verdict.REJECTED, Verdict.UNSIGNED, Verdict.UNKNOWN, Verdict.VERIFIED)
    worst = next(verdict for verdict in order if verdict in verdicts)
    told = [
        Reason(
            ReasonCode.CHILD_NOT_VERIFIED,
            f"{child.digest} ({child.platform or 'no platform'}) is {child.verdict}",
            next((r.retry_after for r in child.reasons if r.retry_after is not None), None),
        )
        for child in lacking
    ]
    good = index.verdict is Verdict.VERIFIED
    reasons = (*told, *index.reasons) if good else (*index.reasons, *told)
    warnings = _distinct([*index.warnings, *(w for child in children for w in child.warnings)])
    return replace(
        index, verdict=worst, reasons=reasons, warnings=warnings, children=tuple(children)
    )


def _distinct(reasons: Sequence[Reason]) -> tuple[Reason, ...]:
    return tuple(dict.fromkeys(reasons))

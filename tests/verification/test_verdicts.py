"""The verdict: one standing signature verifies, and what was not answered is never a no."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from service.domain.verdicts import Reason, ReasonCode, SignatureVerdict, Verdict
from service.verification.verdicts import conclude

GOOD = SignatureVerdict("cosign", stands=True, reason=Reason(ReasonCode.SIGNATURE_VALID, "good"))
BAD = SignatureVerdict("cosign", stands=False, reason=Reason(ReasonCode.UNTRUSTED_KEY, "bad"))
SILENT = Reason(ReasonCode.REGISTRY_UNAVAILABLE, "429", 30.0)


def test_nothing_found_and_everything_answered_is_unsigned() -> None:
    verdict, reasons = conclude([], [])
    assert verdict is Verdict.UNSIGNED
    assert [r.code for r in reasons] == [ReasonCode.NO_SIGNATURE]


def test_only_bad_signatures_are_rejected() -> None:
    assert conclude([BAD], [])[0] is Verdict.REJECTED


def test_one_good_signature_verifies_whatever_lies_beside_it() -> None:
    verdict, reasons = conclude([BAD, GOOD], [SILENT])
    assert verdict is Verdict.VERIFIED
    assert reasons[0].code is ReasonCode.SIGNATURE_VALID
    assert BAD.reason in reasons


@given(st.lists(st.sampled_from([GOOD, BAD]), max_size=4), st.lists(st.just(SILENT), max_size=2))
def test_silence_never_becomes_a_no(
    found: list[SignatureVerdict], unanswered: list[Reason]
) -> None:
    verdict, reasons = conclude(found, unanswered)
    assert reasons
    if unanswered and GOOD not in found:
        assert verdict is Verdict.UNKNOWN
        assert reasons[0].retry_after == 30.0
    assert (verdict is Verdict.VERIFIED) is (GOOD in found)

"""The verdict: one standing signature verifies, and what was not answered is never a no."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.digests import Digest
from service.domain.verdicts import ImageVerdict, Reason, ReasonCode, SignatureVerdict, Verdict
from service.verification.verdicts import conclude, with_children

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


def image(verdict: Verdict, *reasons: Reason) -> ImageVerdict:
    return ImageVerdict("r/a", Digest("1" * 64), verdict, reasons, platform="linux/arm64")


@pytest.mark.parametrize(
    ("index", "children", "expected", "told"),
    [
        ("verified", ["verified", "verified"], "verified", "2 of 2"),
        ("verified", [], "verified", "0 of 0"),
        ("verified", ["verified", "unsigned"], "unsigned", "1 of 2"),
        ("verified", ["rejected", "unsigned"], "rejected", "0 of 2"),
        ("verified", ["unknown", "verified"], "unknown", "1 of 2"),
        ("verified", ["unknown", "unsigned"], "unsigned", "0 of 2"),
        ("unsigned", ["verified", "verified"], "unsigned", "2 of 2"),
        ("unknown", ["verified"], "unknown", "1 of 1"),
        ("unknown", ["rejected"], "rejected", "0 of 1"),
    ],
)
def test_an_index_is_as_good_as_the_worst_of_what_is_in_it(
    index: str, children: list[str], expected: str, told: str
) -> None:
    whole = with_children(image(Verdict(index)), [image(Verdict(child)) for child in children])
    assert (whole.verdict, whole.n_of_n) == (Verdict(expected), told)
    lacking = [r for r in whole.reasons if r.code is ReasonCode.CHILD_NOT_VERIFIED]
    assert len(lacking) == len([child for child in children if child != "verified"])


def test_why_a_child_is_not_verified_comes_first_and_says_when_to_ask_again() -> None:
    whole = with_children(image(Verdict.VERIFIED, GOOD.reason), [image(Verdict.UNKNOWN, SILENT)])
    assert whole.reasons[0].code is ReasonCode.CHILD_NOT_VERIFIED
    assert whole.reasons[0].retry_after == 30.0
    assert "linux/arm64" in whole.reasons[0].text
    assert whole.reasons[1:] == (GOOD.reason,)


def test_warnings_of_children_are_warnings_of_the_whole() -> None:
    warned = replace(image(Verdict.VERIFIED), warnings=(Reason(ReasonCode.DEAD_REFERRER, "x"),))
    whole = with_children(image(Verdict.VERIFIED), [warned, warned])
    assert [reason.code for reason in whole.warnings] == [ReasonCode.DEAD_REFERRER]


def test_without_recursion_there_is_nothing_to_count() -> None:
    assert image(Verdict.VERIFIED).n_of_n is None

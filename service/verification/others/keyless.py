"""Keyless signatures: the certificate must be for an identity that the policy names.

The whole check is imported where it is needed: most installations name no identities, and
their workers need not hold it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from service.domain.verdicts import Reason, ReasonCode, SignatureVerdict
from service.policy.trust import RepositoryTrust

if TYPE_CHECKING:
    from service.verification.sigstore.certificates import Identity
    from service.verification.sigstore.judge import Judgement
    from service.verification.sigstore.roots import TrustedRoot

Judge = Callable[["Identity", "TrustedRoot"], "Judgement"]


def judge_keyless(
    certificate: bytes, judge: Judge, *, found: SignatureVerdict, policy: RepositoryTrust
) -> tuple[SignatureVerdict, Judgement | None]:
    """Judge by a certificate in DER; `judge` makes the whole check for one identity."""
    from service.verification.sigstore.certificates import (  # noqa: PLC0415
        Identity,
        issuer_of,
        names_of,
        parse_chain,
    )
    from service.verification.sigstore.reasons import Refusal, RefusedError  # noqa: PLC0415

    try:
        leaf = parse_chain([certificate])
        names, issuer = names_of(leaf), issuer_of(leaf)
        trusted = [
            Identity(name, issuer)
            for name in sorted(names)
            for one in policy.identities
            if issuer is not None and one.covers(name, issuer)
        ]
        if not trusted:
            shown = ", ".join(sorted(names))[:300] or "nobody"
            text = f"the certificate says {shown} by {issuer}, whom {policy.name} does not trust"
            return replace(found, reason=Reason(ReasonCode.UNTRUSTED_IDENTITY, text)), None
        judgement = judge(trusted[0], root_of(policy.trusted_root))
    except RefusedError as refused:
        code = (
            ReasonCode.WRONG_DIGEST
            if refused.code is Refusal.DIGEST_MISMATCHED
            else ReasonCode.SIGSTORE_REFUSED
        )
        return replace(found, reason=Reason(code, f"{refused} ({refused.code})")), None
    who = trusted[0]
    text = f"signed by {who.name}, for whom {who.issuer} vouches, as {policy.name} trusts"
    verdict = replace(
        found,
        stands=True,
        reason=Reason(ReasonCode.SIGNATURE_VALID, text),
        certificate_identity=who.name,
        certificate_issuer=who.issuer,
    )
    return verdict, judgement


@lru_cache(maxsize=16)
def root_of(content: bytes | None) -> TrustedRoot:
    """Read a trusted root, once; None is the public one. Raises RefusedError."""
    from service.verification.sigstore.roots import parse_root, public_root  # noqa: PLC0415

    return public_root() if content is None else parse_root(content)


def fault_of_root(content: bytes | None) -> str | None:
    from service.verification.sigstore.reasons import RefusedError  # noqa: PLC0415

    try:
        root_of(content)
    except RefusedError as refused:
        return str(refused)
    return None

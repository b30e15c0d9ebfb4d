"""Notary Project: trust policy and trust store (trust-store-trust-policy.md).

A root vouches for whatever it signs, so the policy names exactly the subjects of the trusted
versions: one that was compromised is refused under the same root.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from service.domain.certificates import certificates_pem
from service.domain.keys import KeyVersion
from service.domain.subjects import Subject

STORE: Final = "sealwright"


def subjects(versions: Iterable[KeyVersion]) -> list[Subject]:
    """Return what can be named: without those that notation cannot match, and without those that
    another covers, which notation refuses as overlapping."""
    found = list(
        dict.fromkeys(
            v.chain.subject
            for v in versions
            if v.chain is not None and not v.chain.subject.faults()
        )
    )
    kept: list[Subject] = []
    for place, one in enumerate(found):
        rest = [*found[:place], *found[place + 1 :]]
        # Of two that say the same in another spelling the first stays.
        if not any(one.covers(o) and (not o.covers(one) or o in kept) for o in rest):
            kept.append(one)
    return kept


def trust_policy(versions: Iterable[KeyVersion], *, are_stamped: bool) -> dict[str, Any]:
    """Return `trustpolicy.json`. At least one version has a subject that can be named."""
    verification = {"level": "strict"}
    stores = [f"ca:{STORE}"]
    if are_stamped:
        stores.append(f"tsa:{STORE}")
        # Otherwise every signature would have to carry a timestamp.
        verification["verifyTimestamp"] = "afterCertExpiry"
    return {
        "version": "1.0",
        "trustPolicies": [
            {
                "name": "sealwright",
                "registryScopes": ["*"],
                "signatureVerification": verification,
                "trustStores": stores,
                "trustedIdentities": [f"x509.subject: {s.text()}" for s in subjects(versions)],
            }
        ],
    }


def roots(versions: Iterable[KeyVersion], others: Iterable[bytes] = ()) -> dict[str, bytes]:
    """Return the roots of the chains, and others, as files of a trust store, by name."""
    ours = (v.chain.certificates[-1] for v in versions if v.chain is not None)
    found = dict.fromkeys((*ours, *others))
    return {
        f"root-{number}.pem": certificates_pem([root]).encode()
        for number, root in enumerate(found, 1)
    }

"""Looks once more at what our own keys have not signed, by the policy of the repository.

What is malformed, about another image or an attestation stays what it was found to be. A foreign
key needs no log entry: whoever trusts a key trusts what it signs, as with ours. A certificate
needs what sigstore's clients need (`service.verification.sigstore.judge`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from service.domain.clock import Clock
from service.domain.digests import Digest
from service.domain.errors import ConfigurationError
from service.domain.keys import KeyVersion
from service.domain.verdicts import Reason, ReasonCode, SignatureVerdict
from service.policy.trust import RepositoryTrust, TrustPolicy
from service.verification import bundle
from service.verification.cosign import UnverifiedLayer
from service.verification.others import keyless
from service.verification.others.bundles import judge_bundle
from service.verification.others.envelopes import judge_envelope
from service.verification.others.layers import judge_layer
from service.verification.referrers import Judged


@dataclass(frozen=True, slots=True)
class Others:
    """Whom a policy trusts beside us, or in our place."""

    policy: RepositoryTrust
    clock: Clock

    def layer(
        self, layer: UnverifiedLayer, payload: bytes, *, digest: Digest, found: SignatureVerdict
    ) -> SignatureVerdict:
        """Judge a signature of cosign's `.sig` form that is not ours."""
        if found.reason.code is not ReasonCode.UNTRUSTED_KEY:
            return found
        return self._named(judge_layer(layer, payload, found=found, policy=self.policy))

    def referrer(
        self, content: bytes, *, format_name: str, subject: Digest, found: Judged
    ) -> Judged:
        """Judge a manifest that refers to an image, and is not by one of our keys."""
        if found.verdict is None or found.signer is not None:
            return found
        if format_name == bundle.FORMAT:
            verdict = judge_bundle(content, subject, found=found.verdict, policy=self.policy)
        else:
            now = self.clock.now()
            verdict = judge_envelope(
                content, subject, found=found.verdict, policy=self.policy, now=now
            )
        return replace(found, verdict=None if verdict is None else self._named(verdict))

    def _named(self, verdict: SignatureVerdict) -> SignatureVerdict:
        """Name the policy; what nobody trusts is told with it."""
        if verdict.reason.code is ReasonCode.UNTRUSTED_KEY:
            text = f"it does not verify under any key that the policy {self.policy.name} trusts"
            verdict = replace(verdict, reason=Reason(ReasonCode.UNTRUSTED_KEY, text))
        return replace(verdict, policy=self.policy.name)


@dataclass(frozen=True, slots=True)
class Trusted:
    """Whose signatures count for one repository: our keys, and those of a policy."""

    keys: Sequence[KeyVersion]
    others: Others | None = None

    @classmethod
    def in_repository(
        cls, repository: str, keys: Sequence[KeyVersion], trust: TrustPolicy, clock: Clock
    ) -> Trusted:
        policy = trust.of_repository(repository)
        if policy is None:
            return cls(keys)
        return cls(keys if policy.our_keys else (), Others(policy, clock))


def check_roots(trust: TrustPolicy) -> None:
    """Raises ConfigurationError: the trusted root of a policy cannot be read."""
    faults = [
        f"trust.policies {policy.name}: trusted_root: {why}"
        for policy in trust.policies
        if policy.identities and (why := keyless.fault_of_root(policy.trusted_root)) is not None
    ]
    if faults:
        raise ConfigurationError(*faults)

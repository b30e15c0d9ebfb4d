"""The policy file: parsed strictly, every fault reported at once, never half taken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from service.domain.errors import ConfigurationError
from service.domain.quorum import QuorumRules
from service.policy.attesting import AttestingPolicy
from service.policy.custody import CustodyPolicy
from service.policy.quorum import parse_quorum
from service.policy.rates import RatePolicy, parse_rates
from service.policy.registries import RegistryPolicy
from service.policy.signing import SigningPolicy
from service.policy.trust import TrustPolicy, parse_trust

_SECTIONS: Final = {
    "signing",
    "attesting",
    "quorum",
    "custody",
    "trust",
    "registries",
    "rate_limits",
}


@dataclass(frozen=True, slots=True)
class Policy:
    """What the policy file says; the defaults are those of an empty file."""

    signing: SigningPolicy = field(default_factory=SigningPolicy)
    attesting: AttestingPolicy = field(default_factory=AttestingPolicy)
    quorum: QuorumRules = field(default_factory=QuorumRules)
    custody: CustodyPolicy = field(default_factory=CustodyPolicy)
    registries: RegistryPolicy = field(default_factory=RegistryPolicy)
    trust: TrustPolicy = field(default_factory=TrustPolicy)
    rates: RatePolicy = field(default_factory=RatePolicy)


def parse_policy(document: object) -> Policy:
    """Build the policy from the YAML file's content.

    Everything is optional, and an empty file is the strict default for signing, with no
    quorum: `signing: {allow_tags: bool, must_exist: bool, repositories: [pattern, …]}`,
    `attesting:` with the same and `predicate_types: [pattern, …]`,
    `quorum: {act: people, …, signed: bool, expires_hours: int}`,
    `custody: {allow_extractable: bool}`, `registries: {restore_removed: bool}`, `rate_limits:` as in
    `service.policy.rates`, and `trust: {keys: [{name, public_key}, …], policies: [{name,
    repositories, our_keys, keys, identities, trusted_root, notation}, …]}`.

    Raises:
        ConfigurationError: with every fault.
    """
    if document is None:
        return Policy()
    faults: list[str] = []
    top = _mapping(document, "the policy file", _SECTIONS, faults)
    signing = _signing(top.get("signing", {}), faults)
    attesting = _attesting(top.get("attesting", {}), faults)
    quorum = parse_quorum(_mapping(top.get("quorum", {}), "quorum", None, faults), faults)
    custody = _mapping(top.get("custody", {}), "custody", {"allow_extractable"}, faults)
    allow_extractable = _flag(custody, "custody", "allow_extractable", faults)
    trust = parse_trust(
        _mapping(top.get("trust", {}), "trust", {"keys", "policies"}, faults), faults
    )
    registries = _mapping(top.get("registries", {}), "registries", {"restore_removed"}, faults)
    restore_removed = _flag(registries, "registries", "restore_removed", faults)
    rates = parse_rates(_mapping(top.get("rate_limits", {}), "rate_limits", None, faults), faults)
    if faults:
        raise ConfigurationError(*faults)
    return Policy(
        signing,
        attesting,
        quorum,
        CustodyPolicy(allow_extractable),
        RegistryPolicy(restore_removed),
        trust,
        rates,
    )


def _signing(section: object, faults: list[str]) -> SigningPolicy:
    signing = _mapping(section, "signing", {"allow_tags", "must_exist", "repositories"}, faults)
    return SigningPolicy(
        allow_tags=_flag(signing, "signing", "allow_tags", faults),
        must_exist=_flag(signing, "signing", "must_exist", faults),
        repositories=_patterns(signing, "signing", "repositories", faults),
    )


def _attesting(section: object, faults: list[str]) -> AttestingPolicy:
    known = {"allow_tags", "must_exist", "repositories", "predicate_types"}
    attesting = _mapping(section, "attesting", known, faults)
    return AttestingPolicy(
        allow_tags=_flag(attesting, "attesting", "allow_tags", faults),
        must_exist=_flag(attesting, "attesting", "must_exist", faults),
        repositories=_patterns(attesting, "attesting", "repositories", faults),
        predicate_types=_patterns(attesting, "attesting", "predicate_types", faults),
    )


def _patterns(
    section: Mapping[object, object], where: str, name: str, faults: list[str]
) -> tuple[str, ...] | None:
    patterns = section.get(name)
    if patterns is None:
        return None
    if isinstance(patterns, list) and all(isinstance(p, str) and p for p in patterns):
        return tuple(patterns)
    faults.append(f"{where}.{name} must be a list of patterns")
    return None


def _mapping(
    value: object, where: str, known: set[str] | None, faults: list[str]
) -> Mapping[object, object]:
    """Return `value` if it is a mapping, with no other fields than those known (None: any)."""
    if not isinstance(value, Mapping):
        faults.append(f"{where} must be a mapping")
        return {}
    if known is not None:
        faults.extend(
            f"{where} has an unknown field {name!r}" for name in value if name not in known
        )
    return value


def _flag(section: Mapping[object, object], where: str, name: str, faults: list[str]) -> bool:
    value = section.get(name, False)
    if not isinstance(value, bool):
        faults.append(f"{where}.{name} must be true or false")
        return False
    return value

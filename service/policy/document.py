"""The policy file: parsed strictly, every fault reported at once, never half taken."""

from __future__ import annotations

from collections.abc import Mapping

from service.domain.errors import ConfigurationError
from service.policy.signing import SigningPolicy


def parse_policy(document: object) -> SigningPolicy:
    """Build the policy from the YAML file's content.

    The shape is `signing: {allow_tags: bool, must_exist: bool, repositories: [pattern, …]}`,
    everything optional; an empty file is the strict default.

    Raises:
        ConfigurationError: with every fault.
    """
    if document is None:
        return SigningPolicy()
    faults: list[str] = []
    top = _mapping(document, "the policy file", {"signing"}, faults)
    signing = _mapping(
        top.get("signing", {}), "signing", {"allow_tags", "must_exist", "repositories"}, faults
    )
    allow_tags = _flag(signing, "allow_tags", faults)
    must_exist = _flag(signing, "must_exist", faults)
    repositories = signing.get("repositories")
    patterns: tuple[str, ...] | None = None
    if repositories is not None:
        if isinstance(repositories, list) and all(isinstance(p, str) and p for p in repositories):
            patterns = tuple(repositories)
        else:
            faults.append("signing.repositories must be a list of patterns")
    if faults:
        raise ConfigurationError(*faults)
    return SigningPolicy(allow_tags, must_exist, patterns)


def _mapping(value: object, where: str, known: set[str], faults: list[str]) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        faults.append(f"{where} must be a mapping")
        return {}
    faults.extend(f"{where} has an unknown field {name!r}" for name in value if name not in known)
    return value


def _flag(section: Mapping[str, object], name: str, faults: list[str]) -> bool:
    value = section.get(name, False)
    if not isinstance(value, bool):
        faults.append(f"signing.{name} must be true or false")
        return False
    return value

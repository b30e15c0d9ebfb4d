"""Trust policies: what the file may say, and that nothing else is taken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.bootstrap.policy_file import read_policy
from service.domain.errors import ConfigurationError
from service.policy.document import parse_policy
from service.policy.trust import CertificateIdentity, RepositoryTrust
from tests.support import chains
from tests.support.sigstore import Instance, a_key, pem

KEY = pem(a_key()).decode()
OTHER_KEY = pem(a_key()).decode()
ROOT = chains.pem_of(chains.issue(chains.chain_specs(3))[-1:])
SUBJECT = "x509.subject: C=CH, ST=Bern, O=Example\\, Ltd., CN=signer"
WHOLE: dict[str, Any] = {
    "name": "vendors",
    "repositories": ["registry.example.com/mirror/*", "registry.example.com/vendor/**"],
    "our_keys": False,
    "keys": ["vendor"],
    "identities": [{"name": "https://ci.example.com/*/build.yml", "issuer": "https://i.example"}],
    "trusted_root": json.dumps(Instance().trusted_root()),
    "notation": {"roots": ROOT, "time_roots": ROOT, "identities": [SUBJECT]},
}


def document(*policies: object, **trust: object) -> dict[str, Any]:
    keys = [{"name": "vendor", "public_key": KEY}, {"name": "partner", "public_key": OTHER_KEY}]
    return {"trust": {"keys": keys, "policies": list(policies), **trust}}


def faults(document: object) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        parse_policy(document)
    return list(caught.value.faults)


def test_a_policy_says_whose_signatures_count_where() -> None:
    trust = parse_policy(document(WHOLE)).trust
    policy = trust.of_repository("registry.example.com/mirror/app")
    assert policy is not None
    assert (policy.name, policy.our_keys) == ("vendors", False)
    assert [one.name for one in policy.keys] == ["vendor"]
    assert policy.identities == (
        CertificateIdentity("https://ci.example.com/*/build.yml", "https://i.example"),
    )
    assert policy.notation is not None
    assert [s.get("O") for s in policy.notation.subjects] == ["Example, Ltd."]
    assert policy.notation.roots == policy.notation.time_roots
    assert trust.of_repository("registry.example.com/mirror/app/base") is None
    assert trust.of_repository("registry.example.com/vendor/app/base") is policy


def test_the_first_policy_that_covers_a_repository_is_in_force() -> None:
    def named(name: str, *patterns: str) -> dict[str, Any]:
        return {"name": name, "repositories": list(patterns), "our_keys": True}

    trust = parse_policy(
        document(named("one", "r/a"), named("all", "**"), named("two", "r/b"))
    ).trust

    def of(repository: str) -> RepositoryTrust:
        found = trust.of_repository(repository)
        assert found is not None
        return found

    assert [of("r/a").name, of("r/b").name] == ["one", "all"]


def test_an_identity_is_a_pattern_and_an_issuer_is_not() -> None:
    identity = CertificateIdentity("https://ci/*/b.yml@refs/tags/**", "https://i")
    assert identity.covers("https://ci/app/b.yml@refs/tags/v1/a", "https://i")
    assert not identity.covers("https://ci/x/app/b.yml@refs/tags/v1", "https://i")
    assert not identity.covers("https://ci/app/b.yml@refs/tags/v1", "https://i2")
    assert not identity.covers("https://ci/app/b.yml@refs/tags/v1", None)


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in WHOLE.items() if key != name}


def with_notation(**changes: object) -> dict[str, Any]:
    return {**WHOLE, "notation": {**WHOLE["notation"], **changes}}


BAD = {
    "no mapping": ("all", "trust.policies[0] must be a mapping"),
    "no name": (without("name"), "has no field 'name'"),
    "no repositories": (without("repositories"), "has no field 'repositories'"),
    "does not say whether ours count": (without("our_keys"), "has no field 'our_keys'"),
    "ours count perhaps": ({**WHOLE, "our_keys": "yes"}, "our_keys must be true or false"),
    "more": ({**WHOLE, "more": 1}, "unknown field 'more'"),
    "an empty name": ({**WHOLE, "name": ""}, "name must be text"),
    "no pattern": ({**WHOLE, "repositories": []}, "repositories must be a list of text"),
    "an unknown key": ({**WHOLE, "keys": ["who"]}, "trust.keys has no 'who'"),
    "keys that are none": ({**WHOLE, "keys": "vendor"}, "keys must be a list"),
    "an identity without an issuer": (
        {**WHOLE, "identities": [{"name": "a"}]},
        "identities[0] has no field 'issuer'",
    ),
    "a root for nobody": (without("identities"), "trusted_root is for identities"),
    "nobody": (
        {"name": "a", "repositories": ["**"], "our_keys": False},
        "trusts nobody",
    ),
    "roots that are none": (with_notation(roots="a"), "roots must be certificates in PEM"),
    "no subject": (with_notation(identities=[]), "identities must be a list of text"),
    "a subject of no kind": (with_notation(identities=["C=CH"]), "is not `x509.subject: …`"),
    "a subject that notation cannot match": (
        with_notation(identities=["x509.subject: C=CH, O=Example"]),
        "it has no ST",
    ),
    "a subject that is none": (
        with_notation(identities=["x509.subject: nobody"]),
        "the subject cannot be used",
    ),
    "everybody and more": (with_notation(identities=["*", SUBJECT]), "`*` stands alone"),
    "more of notation": (with_notation(level="audit"), "unknown field 'level'"),
}


@pytest.mark.parametrize(("policy", "fault"), BAD.values(), ids=BAD.keys())
def test_a_policy_that_is_not_exactly_right_is_refused(policy: object, fault: str) -> None:
    parse_policy(document(WHOLE))
    assert any(fault in one for one in faults(document(policy)))


def test_names_of_policies_are_their_own_and_every_fault_is_told() -> None:
    assert faults(document(WHOLE, WHOLE)) == ["trust.policies names a policy twice"]
    assert faults(document(policies="x")) == ["trust.policies must be a list"]
    assert faults(document(keys=7)) == [
        "trust.keys must be a list",
    ]
    assert len(faults(document(without("name"), {**WHOLE, "our_keys": 1}, 3))) == 3


KEYS = {
    "no name": ({"public_key": KEY}, "must have name and public_key, and nothing else"),
    "a number": ({"name": 7, "public_key": KEY}, "must be text"),
    "no key": ({"name": "a", "public_key": "a"}, "not a public key"),
}


@pytest.mark.parametrize(("entry", "fault"), KEYS.values(), ids=KEYS.keys())
def test_a_key_that_is_not_exactly_right_is_refused(entry: object, fault: str) -> None:
    good = {"name": "a", "public_key": KEY}
    trust = parse_policy({"trust": {"keys": [good]}}).trust
    assert trust.named(trust.keys[0].key.der) is trust.keys[0]
    assert trust.named(b"another") is None
    (told,) = faults({"trust": {"keys": [entry]}})
    assert fault in told
    assert faults({"trust": {"keys": [good, good]}}) == ["trust.keys names a key twice"]


def test_a_policy_may_trust_an_identity_under_the_public_root() -> None:
    trust = parse_policy(document(without("trusted_root"))).trust
    assert trust.policies[0].trusted_root is None
    stamped = {key: value for key, value in WHOLE["notation"].items() if key != "time_roots"}
    (policy,) = parse_policy(document({**WHOLE, "notation": stamped})).trust.policies
    assert policy.notation is not None
    assert policy.notation.time_roots == ()


def test_everybody_under_a_root_may_be_trusted() -> None:
    trust = parse_policy(document(with_notation(identities=["*"]))).trust
    (policy,) = trust.policies
    assert policy.notation is not None
    assert policy.notation.subjects == ()


def test_a_trusted_root_that_cannot_be_read_is_a_fault_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(yaml.safe_dump(document(WHOLE)))
    assert len(read_policy(file).trust.policies) == 1
    file.write_text(yaml.safe_dump(document({**WHOLE, "trusted_root": "{}"})))
    with pytest.raises(ConfigurationError) as caught:
        read_policy(file)
    assert caught.value.faults == (
        "trust.policies vendors: trusted_root: the trusted root is of no known version",
    )

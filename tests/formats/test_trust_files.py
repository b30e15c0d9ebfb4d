"""What the files for verifiers' tools say, and what is left out of them."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

from service.domain.certificates import CertificateChain, ChainOrigin
from service.domain.clock import rfc3339
from service.domain.keys import Algorithm, Attributes, GeneratedKey, KeyState, KeyVersion, Location
from service.domain.subjects import Subject
from service.formats.trustfiles import notation
from service.formats.trustfiles.directory import directory
from service.formats.trustfiles.facts import OtherAuthority, TrustedKey, TrustFacts
from service.formats.trustfiles.readme import MARK, readme
from tests.support import chains
from tests.support.samples import sample, sample_json, sample_spki
from tests.support.versions import version_of

HOST = "registry.example.test:5000"
URL = "https://sign.example.test"
PEM = sample("image-key.pub")
SPKI = sample_spki("image-key.pub")
START = datetime(2026, 1, 1, tzinfo=UTC)
PLACE = ("C", "CH"), ("ST", "Bern"), ("O", "Example")


def chain(*subject: tuple[str, str], certificates: tuple[bytes, ...] = (b"leaf", b"root")) -> Any:
    return CertificateChain(ChainOrigin.OWN_CA, certificates, Subject(subject), START, START)


def version(number: int = 1, **change: Any) -> KeyVersion:
    made = GeneratedKey(b"1", SPKI, Location("t", "1"), Attributes())
    certified = chain(*PLACE, ("CN", f"release {number}"))
    return replace(
        version_of(made, Algorithm.EC_P256), **{"version": number, "chain": certified, **change}
    )


def facts(*versions: KeyVersion, **change: Any) -> TrustFacts:
    key = TrustedKey("release", versions, versions[-1] if versions else None)
    fields: dict[str, Any] = {"registries": (HOST,), "url": URL, "openpgp": {"release": b"pgp"}}
    return TrustFacts(**{"keys": (key,), **fields, **change})


def written(given: TrustFacts) -> dict[str, Any]:
    """Return the export, each file read as its tool would."""
    readers = {"json": json.loads, "yaml": yaml.safe_load}
    return {
        path: readers.get(path.rpartition(".")[2], bytes)(content)
        for path, content in directory(given, {"sequence": 7}).items()
    }


def test_the_export_has_the_layout_of_the_contract() -> None:
    stamping = version(key="time", chain=chain(*PLACE, ("CN", "time"), certificates=(b"l", b"t")))
    files = written(facts(version(1), version(2), authorities=(stamping,)))
    assert set(files) == {
        "README.md", "cosign.pub", "cosign-v1.pub", "cosign-v2.pub", "trusted_root.json",
        "withdrawals.json", "notation/trustpolicy.json",
        "notation/truststore/x509/ca/sealwright/root-1.pem",
        "notation/truststore/x509/tsa/sealwright/root-1.pem",
        "containers/policy.json", "containers/policy-openpgp.json",
        "containers/registries.d/sealwright.yaml", "containers/release.gpg",
        "kyverno.yaml", "policy-controller.yaml", "openshift.yaml",
    }  # fmt: skip
    assert files["cosign.pub"] == PEM
    assert files["withdrawals.json"] == {"sequence": 7}


def test_the_trusted_root_is_the_sample_and_names_authorities_with_their_chain() -> None:
    sample = sample_json("trusted_root.json")
    assert written(facts(version(), tlogs=tuple(sample["tlogs"])))["trusted_root.json"] == sample
    [authority] = written(facts(version(), authorities=(version(),)))["trusted_root.json"][
        "timestampAuthorities"
    ]
    assert authority == {
        "subject": {"organization": "Example", "commonName": "release 1"},
        "uri": f"{URL}/v1/timestamps",
        "certChain": {"certificates": [{"rawBytes": "bGVhZg=="}, {"rawBytes": "cm9vdA=="}]},
        "validFor": {"start": "2026-01-01T00:00:00.000Z"},
    }


def test_containers_policies_hold_every_key_inline() -> None:
    [one] = written(facts(version()))["containers/policy.json"]["transports"]["docker"][HOST]
    key = base64.b64encode(PEM).decode()
    assert one == {
        "type": "sigstoreSigned",
        "keyData": key,
        "signedIdentity": {"type": "matchRepository"},
    }
    files = written(facts(version(1), version(2)))
    policy = files["containers/policy.json"]
    assert policy["default"] == [{"type": "reject"}]
    assert policy["transports"]["docker"][HOST][0]["keyDatas"] == [key, key]
    assert files["containers/policy-openpgp.json"]["transports"]["docker"][HOST] == [
        {
            "type": "signedBy",
            "keyType": "GPGKeys",
            "keyData": base64.b64encode(b"pgp").decode(),
            "signedIdentity": {"type": "matchRepoDigestOrExact"},
        }
    ]
    assert files["containers/registries.d/sealwright.yaml"] == {
        "docker": {HOST: {"lookaside": f"{URL}/lookaside/{HOST}", "use-sigstore-attachments": True}}
    }


def test_cluster_policies_hold_every_key_and_openshifts_the_newest() -> None:
    files = written(facts(version(1), version(2)))
    [rule] = files["kyverno.yaml"]["spec"]["rules"]
    [images] = rule["verifyImages"]
    assert images["imageReferences"] == [f"{HOST}/*"]
    [attestors] = images["attestors"]
    assert attestors["count"] == 1
    assert [e["keys"]["publicKeys"].encode() for e in attestors["entries"]] == [PEM, PEM]
    spec = files["policy-controller.yaml"]["spec"]
    assert spec["images"] == [{"glob": f"{HOST}/**"}]
    assert [a["name"] for a in spec["authorities"]] == ["release-v1", "release-v2"]
    assert {a["key"]["data"].encode() for a in spec["authorities"]} == {PEM}
    policy = files["openshift.yaml"]["spec"]
    assert policy["scopes"] == [HOST]
    key = policy["policy"]["rootOfTrust"]["publicKey"]["keyData"]
    assert base64.b64decode(key) == PEM
    assert b"publicKeys: |\n" in directory(facts(version()), {})["kyverno.yaml"]


def test_notations_policy_names_the_subjects_and_each_root_once() -> None:
    files = written(facts(version(1), version(2), version(3, chain=None)))
    [policy] = files["notation/trustpolicy.json"]["trustPolicies"]
    assert policy == {
        "name": "sealwright",
        "registryScopes": ["*"],
        "signatureVerification": {"level": "strict"},
        "trustStores": ["ca:sealwright"],
        "trustedIdentities": [
            "x509.subject: CN=release 1,O=Example,ST=Bern,C=CH",
            "x509.subject: CN=release 2,O=Example,ST=Bern,C=CH",
        ],
    }
    assert [path for path in files if path.endswith(".pem")] == [
        "notation/truststore/x509/ca/sealwright/root-1.pem"
    ]


def test_a_timestamp_is_asked_for_only_after_the_certificates_end() -> None:
    policy = notation.trust_policy([version()], are_stamped=True)["trustPolicies"][0]
    assert policy["trustStores"] == ["ca:sealwright", "tsa:sealwright"]
    assert policy["signatureVerification"]["verifyTimestamp"] == "afterCertExpiry"


def test_who_else_stamps_is_named_by_its_roots() -> None:
    _, between, root = chains.issue(chains.chain_specs(3))
    others = (OtherAuthority("example", "https://tsa.example.com/x", ((between, root),)),)
    files = written(facts(version(), others=others))
    [authority] = files["trusted_root.json"]["timestampAuthorities"]
    assert authority == {
        "subject": {"organization": "Example", "commonName": "root"},
        "uri": "https://tsa.example.com/x",
        "certChain": {
            "certificates": [
                {"rawBytes": base64.b64encode(each).decode()} for each in (between, root)
            ]
        },
        "validFor": {"start": rfc3339(chains.NOW - chains.YEAR)},
    }
    [policy] = files["notation/trustpolicy.json"]["trustPolicies"]
    assert policy["trustStores"] == ["ca:sealwright", "tsa:sealwright"]
    store = directory(facts(version(), others=others), {})
    path = "notation/truststore/x509/tsa/sealwright/root-1.pem"
    assert store[path].decode() == chains.pem_of([root])
    assert "--use-signed-timestamps" in store["README.md"].decode()
    assert "--use-signed-timestamps" not in directory(facts(version()), {})["README.md"].decode()


@pytest.mark.parametrize(
    ("subjects", "named"),
    [
        ([(*PLACE, ("CN", "a")), PLACE], [PLACE]),
        ([PLACE, (*PLACE, ("CN", "a"))], [PLACE]),
        ([PLACE, (("C", "ch"), *PLACE[1:])], [PLACE]),
        ([PLACE[:2], PLACE], [PLACE]),
        ([PLACE[:2]], []),
    ],
    ids=["covered", "covering", "another spelling", "without O", "nothing left"],
)
def test_notation_is_given_no_subjects_that_overlap_or_that_it_cannot_match(
    subjects: list[Any], named: list[Any]
) -> None:
    versions = [version(n, chain=chain(*subject)) for n, subject in enumerate(subjects, 1)]
    assert [s.attributes for s in notation.subjects(versions)] == named


def test_a_file_that_could_not_be_used_is_not_written() -> None:
    bare = version(chain=None)
    without = TrustedKey("release", (bare,), None)
    files = written(facts(keys=(without,), openpgp={}))
    missing = ("cosign.pub", "openshift.yaml", "containers/policy-openpgp.json")
    assert not {*missing, "notation/trustpolicy.json"} & files.keys()
    assert "containers/policy.json" in files
    assert b"there is no `cosign.pub`" in files["README.md"]
    assert b"there is no `notation/`" in files["README.md"]
    nothing = written(facts(keys=(TrustedKey("release", (), None),)))
    assert set(nothing) == {"README.md", "trusted_root.json", "withdrawals.json"}
    assert b"`release`: no version" in nothing["README.md"]


def test_a_key_for_attestations_is_in_no_policy_for_images() -> None:
    files = written(facts(version(), for_images=False))
    assert set(files) == {
        *("README.md", "cosign.pub", "cosign-v1.pub", "trusted_root.json", "withdrawals.json")
    }
    assert b"cosign verify-attestation --type TYPE" in files["README.md"]


def test_other_keys_lie_in_directories_of_their_own() -> None:
    first = TrustedKey("release", (version(),), version())
    other = TrustedKey("v2", (version(key="v2"),), version(key="v2"))
    files = written(facts(keys=(first, other)))
    assert {"cosign.pub", "keys/v2/cosign.pub", "keys/v2/cosign-v1.pub"} <= files.keys()
    assert b"those of every other key NAME" in files["README.md"]


def test_the_readme_tells_what_is_trusted_and_the_commands_that_fit() -> None:
    text = readme(facts(version(state=KeyState.SUSPENDED)), notation=True)
    assert text.startswith(f"{MARK}\n")
    assert "`release`: version 1 (suspended)" in text
    assert "--insecure-ignore-tlog --trusted-root DIR/trusted_root.json IMAGE" in text
    logged = readme(facts(version(), tlogs=({},)), notation=True)
    command = "cosign verify --key DIR/cosign.pub --trusted-root DIR/trusted_root.json IMAGE"
    assert command in logged
    for told in ("Withdrawals", "Several keys", "notation verify IMAGE", "policy-openpgp.json"):
        assert told in logged
    assert facts(keys=()).newest() is None

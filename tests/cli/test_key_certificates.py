"""`sealwright keys csr | import-chain | chain | self-sign`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_der_public_key

from service.domain.callers import Role
from service.domain.clock import SystemClock
from service.verification.chains import unverified_from_pem
from tests.support.chains import YEAR, ca, issue, leaf, pem_of
from tests.support.edge import Listening

Shell = Callable[..., Any]
SUBJECT = "CN=release 1,O=Example,ST=Bern,C=CH"
PLACE = ("--country", "CH", "--state", "Bern", "--organization", "Example")


@pytest.fixture
def keys(shell: Shell) -> Shell:
    return lambda *words: shell("keys", *words, role=Role.CUSTODIAN)


def test_a_request_is_printed_as_pem(keys: Shell) -> None:
    asked = keys("csr", "release", "1", "--subject", SUBJECT)
    assert asked.code == 0
    assert x509.load_pem_x509_csr(asked.out.encode()).is_signature_valid
    assert keys("csr", "release", "1", "--subject", SUBJECT, "--json").json["csr"]
    refused = keys("csr", "release", "1", "--subject", "DC=example")
    assert refused.code == 2
    assert "notation" in refused.err


def test_a_chain_is_imported_from_files_and_printed(
    keys: Shell, shell: Shell, listening: Listening, tmp_path: Path
) -> None:
    assert keys("chain", "release").code == 2
    public = load_der_public_key(listening.world.catalog.keys["release"].versions[0].public_key)
    now = SystemClock().now().replace(microsecond=0)
    specs = [replace(leaf(), public=public), ca("root", 50)]
    certificates = issue([replace(spec, begin=now - YEAR, end=now + YEAR) for spec in specs])
    files = [tmp_path / "leaf.pem", tmp_path / "root.pem"]
    for file, der in zip(files, certificates, strict=True):
        file.write_text(pem_of([der]))
    wrong = keys("import-chain", "release", "1", *(str(file) for file in reversed(files)))
    assert wrong.code == 2
    assert "order: certificate 1" in wrong.err
    imported = keys("import-chain", "release", "1", *(str(file) for file in files))
    assert imported.code == 0
    assert f"certificate {SUBJECT} (imported), until " in imported.out
    for words in ([], ["--version", "1"]):
        shown = shell("keys", "chain", "release", *words, role=None)
        assert list(unverified_from_pem(shown.out)) == certificates
    binary = tmp_path / "leaf.der"
    binary.write_bytes(certificates[0])
    assert keys("import-chain", "release", "1", str(binary)).code == 2


def test_a_key_is_certified_by_our_own_ca_and_says_so(keys: Shell) -> None:
    missing = keys("self-sign", "release")
    assert missing.code == 2
    assert "country" in missing.err
    made = keys("self-sign", "release", *PLACE, "--days", "30", "--token", "test")
    assert made.code == 0
    assert "(own-ca, self-made)" in made.out
    assert [key["name"] for key in keys("list", "--json").json] == ["release", "own-ca"]
    assert "own-ca: ca key" in keys("show", "own-ca").out
    assert keys("list", "--purpose", "ca", "--json").json[0]["name"] == "own-ca"
    lone = keys("self-sign", "release", "--version", "1", "--lone", "--json").json
    assert lone["certificate"]["origin"] == "self-signed"
    rotated = keys("rotate", "release", "--json").json
    assert rotated["certificate"] is None


def test_nobody_makes_a_key_for_a_ca(keys: Shell) -> None:
    refused = keys("create", "mine", "--purpose", "ca")
    assert refused.code == 2
    assert "'ca' is not one of" in refused.err

"""`sealwright bundle verify`: what a script sees of a verdict, and of a command that is wrong."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from service.cli.main import run
from service.domain import limits
from tests.support.sigstore import ISSUER, NAME, Instance, a_key, pem

CONTENT = b"what was built\n"
OURS = Instance()
WHO = ["--certificate-identity", NAME, "--certificate-oidc-issuer", ISSUER]
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_bytes(CONTENT)
    Path("root.json").write_text(json.dumps(OURS.trusted_root()))
    Path("keyless.json").write_text(json.dumps(OURS.bundle(CONTENT)))
    key = a_key()
    bundle = OURS.bundle(CONTENT, key=key, by_key=True, in_envelope=True, entry="dsse 0.0.1")
    Path("by-key.json").write_text(json.dumps(bundle))
    Path("key.pub").write_bytes(pem(key))
    Path("other.pub").write_bytes(pem(a_key()))
    return tmp_path


def verify(bundle: str, *arguments: str) -> int:
    return run(["bundle", "verify", "--bundle", bundle, *arguments])


def trusted(bundle: str, *arguments: str) -> int:
    return verify(bundle, "--trusted-root", "root.json", *arguments)


def test_a_good_bundle_ends_in_0_and_tells_what_was_proven(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for artifact in ("a.txt", DIGEST):
        assert trusted("keyless.json", *WHO, artifact) == 0
        assert trusted("by-key.json", "--key", "key.pub", artifact) == 0
    said = capsys.readouterr().out
    assert said.count("verified\n") == 4
    assert said.count("signed by 2026-03-01T12:00:00") == 4
    assert "predicate type https://slsa.dev/provenance/v1" in said


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["keyless.json", "--key", "key.pub", "a.txt"], "identity-not-given"),
        (["by-key.json", "--key", "other.pub", "a.txt"], "signature-invalid"),
        (["by-key.json", *WHO, "a.txt"], "key-not-given"),
        (["by-key.json", "--key", "root.json", "a.txt"], "key-malformed"),
        (["by-key.json", "--key", "key.pub", "key.pub"], "digest-mismatched"),
        (["a.txt", "--key", "key.pub", "a.txt"], "bundle-malformed"),
        (["keyless.json", *WHO[:3], "https://example.net", "a.txt"], "issuer-mismatched"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bad_bundle_ends_in_1_and_tells_its_reason(
    files: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: str
) -> None:
    assert trusted(*arguments) == 1
    assert f"({code})" in capsys.readouterr().out
    assert trusted(*arguments, "--json") == 1
    answer = json.loads(capsys.readouterr().out)
    assert (answer["verdict"], answer["reason"]["code"]) == ("rejected", code)


def test_a_program_reads_the_verdict_as_json(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trusted("by-key.json", "--key", "key.pub", "a.txt", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "verdict": "verified",
        "reason": None,
        "times": ["2026-03-01T12:00:00.000Z"],
        "predicate_type": "https://slsa.dev/provenance/v1",
    }


def test_without_a_trusted_root_the_public_one_is_taken_and_a_bad_one_is_refused(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify("keyless.json", *WHO, "a.txt") == 1
    assert "(log-untrusted)" in capsys.readouterr().out
    assert verify("keyless.json", "--trusted-root", "a.txt", *WHO, "a.txt") == 1
    assert "(trusted-root-malformed)" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["a.txt"],
        ["--key", "key.pub", *WHO, "a.txt"],
        ["--certificate-identity", NAME, "a.txt"],
        [*WHO, "no-such-file"],
        [*WHO, "sha256:1234"],
        ["--key", "no-such-file", "a.txt"],
    ],
)
def test_a_command_that_is_wrong_ends_in_2(files: Path, arguments: list[str]) -> None:
    assert trusted("keyless.json", *arguments) == 2
    assert trusted("keyless.json", *WHO, "a.txt") == 0


def test_what_is_spelled_like_a_digest_is_a_file_if_there_is_one(files: Path) -> None:
    spelled = f"sha256:{'0' * 64}"
    assert trusted("keyless.json", *WHO, spelled) == 1
    Path(spelled).write_bytes(CONTENT)
    assert trusted("keyless.json", *WHO, spelled) == 0


def test_a_bundle_of_any_length_is_not_read(
    files: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.cli.bundle.MAX_SIGSTORE_BUNDLE_BYTES", 10)
    assert limits.MAX_SIGSTORE_BUNDLE_BYTES > 10
    assert trusted("keyless.json", *WHO, "a.txt") == 1
    assert "(bundle-malformed)" in capsys.readouterr().out

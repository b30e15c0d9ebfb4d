"""The two plug-ins against a service that listens; stock cosign and notation: `make conformance`."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.client import retries
from service.domain.callers import Role
from service.domain.digests import Digest
from service.domain.payloads import Encoding
from service.plugins import cosign, notation
from tests.support.edge import Listening
from tests.support.payloads import one_of_each
from tests.support.ports import free_port
from tests.support.product import Product

DIGEST = Digest("a" * 64)
GOOD = one_of_each(DIGEST)
SCRIPTS = Path(sys.executable).parent
NOT_NEEDED = {
    "flask",
    "marshmallow",
    "cryptography",
    "sqlalchemy",
    "urllib3",
    "requests",
    "httpx",
    "click",
    "orjson",
    "yaml",
    "asyncio",
    "urllib.request",
    "service.domain",
    "service.formats",
    "service.cli",
}

Ask = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def as_role(
    listening: Listening, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Role], None]:
    monkeypatch.setenv("SEALWRIGHT_URL", listening.url)
    monkeypatch.setattr(retries, "FIRST_WAIT_SECONDS", 0.001)
    monkeypatch.setattr(retries, "MAX_WAIT_SECONDS", 0.001)

    def choose(role: Role) -> None:
        file = tmp_path / role.value
        file.write_text(listening.world.bearer[role])
        monkeypatch.setenv("SEALWRIGHT_TOKEN_FILE", str(file))

    choose(Role.BUILDER)
    return choose


@pytest.fixture
def kms(as_role: object) -> Ask:
    def ask(
        method: str,
        message: bytes = b"",
        *,
        protocol: str = "v1",
        start: Any = None,
        **options: Any,
    ) -> tuple[int, dict[str, Any]]:
        begun = {
            "protocolVersion": "v1",
            "keyResourceID": "release",
            "hashFunc": 5,
            **(start or {}),
        }
        asked = {"initOptions": begun, "methodName": method, method: options}
        answer = io.StringIO()
        argv = ["sigstore-kms-sealwright", protocol, json.dumps(asked)]
        code = cosign.run(argv, io.BytesIO(message), answer)
        return code, json.loads(answer.getvalue())

    return ask


@pytest.fixture
def plugin(as_role: object) -> Ask:
    def ask(command: str, **request: Any) -> tuple[int, dict[str, Any]]:
        answer, errors = io.StringIO(), io.StringIO()
        code = notation.run(
            ["notation-sealwright", command],
            io.BytesIO(json.dumps(request).encode()),
            answer,
            errors,
        )
        assert bool(answer.getvalue()) is not bool(errors.getvalue())
        return code, json.loads(answer.getvalue() or errors.getvalue())

    return ask


@pytest.mark.parametrize("module", ["service.plugins.cosign", "service.plugins.notation"])
def test_a_plugin_starts_without_anything_heavy(module: str) -> None:
    program = f"import sys, {module}\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert "service.client.transport" in loaded
    assert not NOT_NEEDED & loaded


@pytest.mark.parametrize("encoding", [Encoding.SIMPLESIGNING, Encoding.DSSE_PAE])
def test_cosigns_message_is_signed_and_not_the_digest_that_comes_with_it(
    kms: Ask, listening: Listening, encoding: Encoding
) -> None:
    digest = base64.b64encode(b"\1" * 48).decode()
    options = {"rpcOptions": {}, "messageOptions": {"digest": digest}}
    code, answer = kms("signMessage", GOOD[encoding], signOptions=options)
    assert code == 0
    assert base64.b64decode(answer["signMessage"]["signature"])
    [(asked, key, _)] = listening.world.operations.sign_payload.requests
    assert (asked.encoding, asked.unverified_payload) == (encoding, GOOD[encoding])
    assert key is not None  # a repeated request makes nothing twice


def test_cosign_gets_the_public_key_and_the_algorithms(kms: Ask) -> None:
    _, answer = kms("publicKey")
    assert base64.b64decode(answer["publicKey"]["publicKeyPEM"]).startswith(b"-----BEGIN PUBLIC")
    assert kms("defaultAlgorithm")[1]["defaultAlgorithm"]["defaultAlgorithm"].startswith("ecdsa")
    assert kms("supportedAlgorithms")[1]["supportedAlgorithms"]["supportedAlgorithms"]


@pytest.mark.parametrize(
    ("method", "message", "more", "says"),
    [
        pytest.param("signMessage", b"x" * 32, {}, "payload-not-signable", id="bytes"),
        pytest.param("signMessage", b"", {}, "payload-not-signable", id="nothing"),
        pytest.param("signMessage", GOOD[Encoding.NOTATION_JWS], {}, "not-signable", id="notation"),
        pytest.param(
            "signMessage", b"", {"start": {"keyResourceID": "nobody"}}, "no key 'nobody'", id="key"
        ),
        pytest.param("signMessage", b"", {"start": {"hashFunc": 7}}, "SHA-256", id="hash"),
        pytest.param("createKey", b"", {}, "made by custodians", id="create"),
        pytest.param("verifySignature", b"", {}, "no signature", id="verify"),
        pytest.param("verifySignature", b"", {"signature": "AAAA"}, "by no version", id="wrong"),
        pytest.param("exportKey", b"", {}, "not known", id="method"),
        pytest.param("publicKey", b"", {"protocol": "v2"}, "protocol v1", id="protocol"),
    ],
)
def test_cosign_is_told_why_not(
    kms: Ask, method: str, message: bytes, more: dict[str, Any], says: str
) -> None:
    code, answer = kms(method, message, **more)
    assert code == 1
    assert answer.keys() == {"errorMessage"}
    assert says in answer["errorMessage"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"initOptions":null}', "[" * 99999])
def test_what_is_no_call_is_answered_and_not_crashed_at(text: str) -> None:
    answer = io.StringIO()
    assert cosign.run(["x", "v1", text], io.BytesIO(), answer) == 1
    assert "not a call" in json.loads(answer.getvalue())["errorMessage"]


def test_whoever_may_not_sign_is_told_so(kms: Ask, as_role: Callable[[Role], None]) -> None:
    as_role(Role.AUDITOR)
    code, answer = kms("signMessage", GOOD[Encoding.SIMPLESIGNING])
    assert code == 1
    assert "forbidden: the role auditor does not sign" in answer["errorMessage"]


def test_a_service_that_is_away_or_unnamed_is_told_in_words(
    kms: Ask, plugin: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEALWRIGHT_URL", f"http://127.0.0.1:{free_port()}")
    assert "does not answer" in kms("publicKey")[1]["errorMessage"]
    assert "does not answer" in plugin("describe-key", keyId="release")[1]["errorMessage"]
    monkeypatch.setenv("SEALWRIGHT_URL", "")
    assert "SEALWRIGHT_URL is not set" in kms("publicKey")[1]["errorMessage"]
    assert "SEALWRIGHT_URL is not set" in plugin("describe-key", keyId="k")[1]["errorMessage"]


def test_notation_finds_what_its_contract_asks_for(plugin: Ask) -> None:
    code, told = plugin("get-plugin-metadata")
    assert code == 0
    assert told["name"] == "sealwright"  # of the executable notation-sealwright
    assert "1.0" in told["supportedContractVersions"]
    assert all(told[name] for name in ("description", "version", "url"))
    assert told["capabilities"] == ["SIGNATURE_GENERATOR.RAW"]


@pytest.mark.parametrize("encoding", [Encoding.NOTATION_JWS, Encoding.NOTATION_COSE])
def test_notations_bytes_are_signed_in_the_encoding_that_they_have(
    plugin: Ask, listening: Listening, encoding: Encoding
) -> None:
    payload = base64.b64encode(GOOD[encoding]).decode()
    code, answer = plugin("generate-signature", keyId="release", payload=payload)
    assert code == 0, answer
    assert answer["signingAlgorithm"] == "ECDSA-SHA-256"
    assert len(base64.b64decode(answer["signature"])) == 64
    assert answer["certificateChain"] == ["bGVhZg==", "cm9vdA=="]
    [(asked, _, _)] = listening.world.operations.sign_payload.requests
    assert (asked.encoding, asked.unverified_payload) == (encoding, GOOD[encoding])


@pytest.mark.parametrize(
    ("command", "request_body", "code", "says"),
    [
        ("describe-key", {"keyId": "release"}, "VALIDATION_ERROR", "no certificate chain"),
        ("describe-key", {"keyId": "nobody"}, "VALIDATION_ERROR", "no key 'nobody'"),
        ("describe-key", {}, "VALIDATION_ERROR", "no keyId"),
        ("generate-signature", {"keyId": "release"}, "VALIDATION_ERROR", "no payload"),
        (
            "generate-signature",
            {"keyId": "release", "payload": "%"},
            "VALIDATION_ERROR",
            "not base64",
        ),
        (
            "generate-signature",
            {"keyId": "release", "payload": "AAAA"},
            "VALIDATION_ERROR",
            "payload-not-signable",
        ),
        ("generate-envelope", {}, "VALIDATION_ERROR", "not known"),
    ],
)
def test_notation_is_told_why_not(
    plugin: Ask, command: str, request_body: dict[str, Any], code: str, says: str
) -> None:
    exit_code, answer = plugin(command, **request_body)
    assert exit_code == 1
    assert (answer["errorCode"], says in answer["errorMessage"]) == (code, True)


@pytest.mark.parametrize("text", [b"", b"[]", b"no JSON", b"[" * 99999])
def test_what_is_no_request_of_notation_is_refused(text: bytes) -> None:
    answer, errors = io.StringIO(), io.StringIO()
    assert notation.run(["x", "describe-key"], io.BytesIO(text), answer, errors) == 1
    assert "not a request" in json.loads(errors.getvalue())["errorMessage"]
    assert answer.getvalue() == ""


@pytest.mark.parametrize("program", ["sigstore-kms-sealwright", "notation-sealwright"])
def test_whoever_starts_a_plugin_by_hand_is_told_whose_it_is(program: str) -> None:
    done = subprocess.run([SCRIPTS / program], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "starts this program" in done.stderr
    assert done.stdout == ""


def test_notation_is_told_that_access_is_denied(
    plugin: Ask, as_role: Callable[[Role], None]
) -> None:
    as_role(Role.AUDITOR)
    payload = base64.b64encode(GOOD[Encoding.NOTATION_JWS]).decode()
    _, answer = plugin("generate-signature", keyId="release", payload=payload)
    assert answer["errorCode"] == "ACCESS_DENIED"


def test_the_installed_programs_sign_and_verify_by_the_running_product(
    product: Product,
) -> None:
    env = {
        "SEALWRIGHT_URL": product.url,
        "SEALWRIGHT_TOKEN_FILE": str(product.state / "credentials" / "builder"),
    }

    def ask(method: str, message: bytes, **options: object) -> dict[str, Any]:
        asked = {
            "initOptions": {"protocolVersion": "v1", "keyResourceID": "release", "hashFunc": 5},
            "methodName": method,
            method: options,
        }
        done = subprocess.run(
            [SCRIPTS / "sigstore-kms-sealwright", "v1", json.dumps(asked)],
            input=message,
            env=env,
            capture_output=True,
            check=False,
        )
        return dict(json.loads(done.stdout))

    message = GOOD[Encoding.DSSE_PAE]
    signature = ask("signMessage", message)["signMessage"]["signature"]
    assert ask("verifySignature", message, signature=signature) == {"verifySignature": {}}
    refused = ask("verifySignature", message + b" ", signature=signature)
    assert "by no version" in refused["errorMessage"]
    described = subprocess.run(
        [SCRIPTS / "notation-sealwright", "describe-key"],
        input=b'{"contractVersion":"1.0","keyId":"release"}',
        env=env,
        capture_output=True,
        check=True,
    )
    assert json.loads(described.stdout) == {"keyId": "release", "keySpec": "EC-256"}
    request = {
        "keyId": "release",
        "payload": base64.b64encode(GOOD[Encoding.NOTATION_COSE]).decode(),
    }
    done = subprocess.run(
        [SCRIPTS / "notation-sealwright", "generate-signature"],
        input=json.dumps(request).encode(),
        env=env,
        capture_output=True,
        check=True,
    )
    assert len(json.loads(done.stdout)["certificateChain"]) >= 2

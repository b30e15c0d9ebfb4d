"""Stock clients, each asked in the words that the compatibility document shows."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.domain.attestations import COSIGN_SIGN
from service.domain.digests import Digest
from tests.support.clients import client, clients
from tests.support.cosign import Cosign
from tests.support.matrix import Consumer
from tests.support.predicates import SLSA
from tests.support.product import Product

HERE = Path(__file__).parent / "clients"
INSTALL = Path(__file__).parents[2] / "scripts" / "install-clients"


@dataclass(frozen=True)
class Ask:
    """One question: this image, in this format, with these files."""

    product: Product
    form: str
    image: str
    """`host/repository:1.0@sha256:…`"""
    trust: Path
    key_file: str = "cosign.pub"

    @property
    def key(self) -> str:
        return str(self.trust / self.key_file)

    @property
    def pinned(self) -> str:
        name, _, digest = self.image.partition("@")
        return f"{name.rpartition(':')[0]}@{digest}"

    @property
    def tagged(self) -> str:
        return self.image.partition("@")[0]

    @property
    def repository(self) -> str:
        return self.pinned.partition("@")[0].partition("/")[2]

    @property
    def digest(self) -> Digest:
        return Digest.parse(self.image.partition("@")[2])


Judge = Callable[[Ask], bool]


def run(*words: str, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> Any:
    return subprocess.run(words, capture_output=True, text=True, check=False, cwd=cwd, env=env)


def version_in_installer(name: str) -> str:
    found = re.search(rf"^{name}=v?(\S+)$", INSTALL.read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def module_version(judge: str, module: str) -> str:
    text = (HERE / judge / "go.mod").read_text()
    found = re.search(rf"{re.escape(module)} v(\S+)", text)
    assert found is not None
    return found[1]


def program_version(program: str) -> str:
    return str(run(program, "--version").stdout.split()[-1])


def cosign_judge(cosign: Cosign) -> Judge:
    def judge(ask: Ask) -> bool:
        new = ("--new-bundle-format",) if cosign.is_older else ()
        verb = (
            ("verify-attestation", *new, "--type", SLSA)
            if ask.form == "attestation"
            else ("verify",)
        )
        done = cosign.run(
            *(*verb, "--key", ask.key, "--trusted-root", str(ask.trust / "trusted_root.json")),
            *("--allow-http-registry", ask.pinned),
        )
        return done.returncode == 0

    return judge


def notation_judge(ask: Ask) -> bool:
    done = run(client("notation-judge"), str(ask.trust / "notation"), ask.pinned)
    return bool(done.returncode == 0)


def notation_command(ask: Ask) -> bool:
    with tempfile.TemporaryDirectory() as home:
        shutil.copytree(ask.trust / "notation", Path(home) / "notation")
        env = {"HOME": home, "XDG_CONFIG_HOME": home, "PATH": os.environ["PATH"]}
        words = ("verify", "--insecure-registry", ask.pinned)
        return bool(run(client("notation-cli"), *words, env=env).returncode == 0)


def policy_controller(trust: Path, image: str, home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *(client("policy-tester"), "-policy", str(trust / "policy-controller.yaml")),
            *("-image", image),
        ],
        env={"HOME": str(home), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def kyverno(trust: Path, image: str, home: Path) -> subprocess.CompletedProcess[str]:
    pod = home / "pod.yaml"
    pod.write_text(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: app, namespace: default}\n"
        f'spec: {{containers: [{{name: app, image: "{image}"}}]}}\n'
    )
    return subprocess.run(
        [
            *(client("kyverno"), "apply", str(trust / "kyverno.yaml")),
            *("--resource", str(pod), "--registry", "--remove-color"),
        ],
        env={"HOME": str(home), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def in_cluster(
    judge: Callable[[Path, str, Path], subprocess.CompletedProcess[str]],
) -> Judge:
    def judged(ask: Ask) -> bool:
        with tempfile.TemporaryDirectory() as home:
            return judge(ask.trust, ask.pinned, Path(home)).returncode == 0

    return judged


def _policy(ask: Ask) -> Path:
    name = "policy-openpgp.json" if ask.form == "openpgp" else "policy.json"
    return ask.trust / "containers" / name


def image_judge(ask: Ask) -> bool:
    registries = ask.trust / "containers" / "registries.d"
    done = run(client("image-judge"), str(_policy(ask)), str(registries), ask.tagged)
    return bool(done.returncode == 0)


def skopeo_judge(ask: Ask) -> bool:
    with tempfile.TemporaryDirectory() as out:
        done = run(
            *("skopeo", "--policy", str(_policy(ask))),
            *("--registries.d", str(ask.trust / "containers" / "registries.d"), "copy"),
            *("--remove-signatures", "--src-tls-verify=false"),
            *(f"docker://{ask.tagged}", f"dir:{out}/image"),
        )
    return bool(done.returncode == 0)


def podman_judge(ask: Ask) -> bool:
    # podman takes no path of its own longer than 50 characters.
    with tempfile.TemporaryDirectory(prefix="podman") as place:
        config = Path(place) / ".config" / "containers"
        config.mkdir(parents=True)
        (config / "policy.json").write_text(_policy(ask).read_text())
        (config / "registries.d").symlink_to(ask.trust / "containers" / "registries.d")
        storage = ("--root", f"{place}/root", "--runroot", f"{place}/r")
        env = {"HOME": place, "PATH": os.environ["PATH"]}
        words = ("--storage-driver", "vfs", *storage, "pull", "--tls-verify=false", ask.tagged)
        return bool(run("podman", *words, env=env).returncode == 0)


def contents(ask: Ask) -> list[bytes]:
    """Return the blobs of what refers to the image, as a client finds them."""
    found = []
    for entry in ask.product.images.referrer_entries(ask.repository, ask.digest):
        stored = ask.product.images.get_manifest(ask.repository, str(entry["digest"]))
        assert stored is not None
        layer = json.loads(stored.content)["layers"][0]["digest"]
        content = ask.product.images.get_blob(ask.repository, layer)
        assert content is not None
        found.append(content)
    return found


def _printed(words: list[str], content: bytes, cwd: Path | None) -> Any:
    """Return what a judge prints of the content, if it takes it and that is JSON."""
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "content"
        file.write_bytes(content)
        done = run(*(word.replace("CONTENT", str(file)) for word in words), cwd=cwd)
    return json.loads(done.stdout) if done.returncode == 0 else None


def sigstore_js_judge(ask: Ask) -> bool:
    kind = SLSA if ask.form == "attestation" else COSIGN_SIGN
    root = str(ask.trust / "trusted_root.json")
    words = ["node", str(HERE / "bundle-judge.cjs"), "CONTENT", ask.key, root]
    said = [_printed(words, one, clients() / "node") for one in contents(ask)]
    # The library checks the envelope; digest and predicate are its caller's to compare.
    return any(
        one is not None
        and one["predicateType"] == kind
        and one["subject"][0]["digest"] == {"sha256": ask.digest.hex}
        for one in said
    )


def _envelope_judge(words: list[str], cwd: Path | None) -> Judge:
    def judge(ask: Ask) -> bool:
        asked = [word.replace("KEY", ask.key) for word in words]
        said = [_printed(asked, one, cwd) for one in contents(ask)]
        return any(
            one is not None and one["targetArtifact"]["digest"] == str(ask.digest) for one in said
        )

    return judge


def openssl_judge(ask: Ask) -> bool:
    for layer in ask.product.images.signature_layers(ask.repository, ask.digest):
        payload = ask.product.images.get_blob(ask.repository, str(layer["digest"]))
        assert payload is not None
        annotations: Any = layer["annotations"]
        with tempfile.TemporaryDirectory() as place:
            signature = Path(place) / "signature"
            signature.write_bytes(b64decode(annotations["dev.cosignproject.cosign/signature"]))
            said = Path(place) / "payload"
            said.write_bytes(payload)
            done = run(
                *("openssl", "dgst", "-sha256", "-verify", ask.key),
                *("-signature", str(signature), str(said)),
            )
        named = json.loads(payload)["critical"]["image"]["docker-manifest-digest"]
        if done.returncode == 0 and named == str(ask.digest):
            return True
    return False


def judges(cosign: Cosign, older: Cosign) -> dict[str, tuple[Consumer, Judge]]:
    """Return every consumer with its judge, by the name of its row."""
    rows: dict[str, tuple[Consumer, Judge]] = {}

    def add(
        name: str,
        version: str,
        judge: Judge,
        *commands: str,
        reader: str | None = None,
    ) -> None:
        rows[reader or name] = (Consumer(name, version, commands), judge)

    proof = "--key DIR/cosign.pub --trusted-root DIR/trusted_root.json IMAGE"
    for one in (cosign, older):
        new = " --new-bundle-format" if one.is_older else ""
        add(
            "cosign",
            version_in_installer("older_cosign" if one.is_older else "cosign"),
            cosign_judge(one),
            f"cosign verify {proof}",
            f"cosign verify-attestation{new} --type TYPE {proof}",
            reader="cosign 2" if one.is_older else "cosign",
        )
    add(
        "notation-go",
        module_version("notation-judge", "github.com/notaryproject/notation-go"),
        notation_judge,
        "notation-judge DIR/notation IMAGE            (ours, around the library)",
    )
    add(
        "notation",
        module_version("notation-cli", "github.com/notaryproject/notation"),
        notation_command,
        "cp -r DIR/notation/. ~/.config/notation/ && notation verify IMAGE",
    )
    registries = "--registries.d DIR/containers/registries.d"
    add(
        "containers/image",
        module_version("image-judge", "go.podman.io/image/v5"),
        image_judge,
        "image-judge DIR/containers/policy.json DIR/containers/registries.d IMAGE"
        "            (ours, around the library; policy-openpgp.json for OpenPGP)",
        f"skopeo --policy DIR/containers/policy.json {registries} copy docker://IMAGE dir:OUT",
    )
    add(
        "skopeo",
        program_version("skopeo"),
        skopeo_judge,
        f"skopeo --policy DIR/containers/policy-openpgp.json {registries} copy "
        "--remove-signatures docker://IMAGE dir:OUT",
    )
    add(
        "podman",
        program_version("podman"),
        podman_judge,
        "podman pull IMAGE            (with DIR/containers/policy-openpgp.json as policy.json, and "
        "DIR/containers/registries.d, in ~/.config/containers)",
    )
    node, python = clients() / "node", str(clients() / "python" / "bin" / "python")
    add(
        "@sigstore/verify",
        version_in_installer("sigstore_verify"),
        sigstore_js_judge,
        "node bundle-judge.cjs BUNDLE DIR/cosign.pub DIR/trusted_root.json"
        "            (ours, around the library; digest and type are compared by whoever calls)",
    )
    add(
        "jose",
        version_in_installer("jose"),
        _envelope_judge(["node", str(HERE / "jws-judge.cjs"), "CONTENT", "KEY"], node),
        "node jws-judge.cjs ENVELOPE DIR/cosign.pub            (ours, around the library; as above)",
    )
    add(
        "pycose",
        version_in_installer("pycose"),
        _envelope_judge([python, str(HERE / "cose-judge.py"), "CONTENT", "KEY"], None),
        "python cose-judge.py ENVELOPE DIR/cosign.pub            (ours, around the library; as above)",
    )
    add(
        "policy-controller",
        module_version("policy-tester", "github.com/sigstore/policy-controller"),
        in_cluster(policy_controller),
        "tester -policy DIR/policy-controller.yaml -image IMAGE            (its own command)",
    )
    add(
        "kyverno",
        module_version("kyverno", "github.com/kyverno/kyverno"),
        in_cluster(kyverno),
        "kyverno apply DIR/kyverno.yaml --resource pod.yaml --registry            (a pod of IMAGE)",
    )
    add(
        "openssl",
        run("openssl", "version").stdout.split()[1],
        openssl_judge,
        "openssl dgst -sha256 -verify DIR/cosign.pub -signature SIGNATURE PAYLOAD"
        "            (as they lie in the `.sig` manifest)",
    )
    return rows

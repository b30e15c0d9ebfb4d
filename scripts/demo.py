"""`make demo`: sign a real image in an HSM, let others judge it, tamper with a copy.

Everything is real: SoftHSM over PKCS#11, docker-registry, gunicorn. Each step prints a line;
the last one is PASS, or the demo fails.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from base64 import b64decode
from collections.abc import Sequence
from pathlib import Path

from service.domain.digests import Digest
from tests.support.product import Product, RunningRegistry, start_dev, stop_dev
from tests.support.registry import OCI_MANIFEST

SEALWRIGHT = str(Path(sys.executable).with_name("sealwright"))
REPOSITORY = "demo/app"
SIGNATURE = "dev.cosignproject.cosign/signature"
OLD_FORM = "--new-bundle-format=false"  # cosign 3: look at `.sig`, as older ones do


class DemoFailure(Exception):  # noqa: N818 -- it is what the demo's reader sees
    """A step did not do what it should."""


def main() -> int:
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="sealwright-demo-") as directory:
        work = Path(directory)
        say("starting", "sealwright dev: SoftHSM token, database, registry, service")
        process, product = start_dev(work / "state")
        try:
            tell_the_story(product, work)
        except DemoFailure as failure:
            print(f"FAIL: {failure}")
            return 1
        finally:
            ended = stop_dev(process)
        if ended != 0:
            print(f"FAIL: sealwright dev ended with {ended}")
            return 1
    print(f"PASS ({time.monotonic() - begun:.0f} s)")
    return 0


def tell_the_story(product: Product, work: Path) -> None:
    registry = product.images
    say("ready", f"service {product.url}, registry {product.registry}")

    digest = registry.push_image(REPOSITORY, "1.0", application("1.0"))
    image = f"{product.registry}/{REPOSITORY}:1.0@{digest}"
    say("pushed", f"{image} (two layers)")
    expect(verify(product, image), "unsigned", "before anything is signed")

    signed = sealwright(product, "sign", image)
    check(signed.returncode == 0, f"sealwright sign: {signed.stdout}{signed.stderr}")
    for line in signed.stdout.splitlines():
        say("signed", line.removeprefix("signed").strip())

    key = work / "release.pem"
    key.write_text(sealwright(product, "keys", "public-key", "release").stdout)
    payload, signature = attached(registry, digest)
    check(str(digest).encode() in payload, "the signed payload names another digest")
    check(openssl_accepts(key, payload, signature, work), "openssl refuses the signature")
    say("openssl", "accepts the payload and signature fetched from the registry")
    statement, by_bundle = bundled(registry, digest)
    check(str(digest.hex).encode() in statement, "the bundle's statement names another digest")
    check(openssl_accepts(key, pae(statement), by_bundle, work), "openssl refuses the bundle")
    say("openssl", "accepts the statement and signature of the bundle that refers to the image")
    pinned = f"{product.registry}/{REPOSITORY}@{digest}"
    cosign = find_cosign()
    if cosign is None:
        say("cosign", "not on this machine (make conformance installs it); not asked")
    else:
        check(cosign_accepts(cosign, key, pinned), "cosign refuses the bundle")
        check(cosign_accepts(cosign, key, pinned, OLD_FORM), "cosign refuses the .sig signature")
        say("cosign", "accepts both: the bundle, and the .sig of clients before version 3")
    expect(verify(product, image), "verified", "the image as it was signed")

    # A copy with one file changed, and the original's signatures put beside it.
    forged = registry.push_image(REPOSITORY, "1.0-copy", application("1.0 with a back door"))
    copy_signature(registry, digest, forged, ".sig")
    copy_signature(registry, digest, forged, "")
    copy = f"{product.registry}/{REPOSITORY}@{forged}"
    say("tampered", "changed a file, and put the signatures beside the changed copy")
    expect(verify(product, copy), "rejected", "the copy under the original's signature")

    # And once more, with the payload rewritten so that it names the copy.
    rewritten = payload.replace(str(digest).encode(), str(forged).encode())
    check(rewritten != payload, "the payload was not rewritten")
    put_signature(registry, forged, rewritten, signature)
    check(not openssl_accepts(key, rewritten, signature, work), "openssl accepts a forgery")
    say("openssl", "refuses the rewritten payload")
    if cosign is not None:
        forgeries = (cosign_accepts(cosign, key, copy, *old) for old in ((), (OLD_FORM,)))
        check(not any(forgeries), "cosign accepts a forgery")
        say("cosign", "refuses it in either form")
    expect(verify(product, copy), "rejected", "the copy with a rewritten payload")
    expect(verify(product, image), "verified", "the original, still")
    several_platforms(product)


def several_platforms(product: Product) -> None:
    """Sign an index and what is in it; add a platform, which nobody has signed."""
    registry = product.images
    platforms = [
        registry.push_image(REPOSITORY, files=application(name), architecture=name)
        for name in ("amd64", "arm64")
    ]
    index = registry.push_index(REPOSITORY, platforms, "2.0")
    image = f"{product.registry}/{REPOSITORY}:2.0"
    signed = sealwright(product, "sign", "--recursive", f"{image}@{index}")
    check(signed.returncode == 0, f"sealwright sign: {signed.stdout}{signed.stderr}")
    expect(verify(product, image, "--recursive"), "verified", "an index and its two platforms")
    added = registry.push_image(REPOSITORY, files=application("riscv64"), architecture="riscv64")
    registry.push_index(REPOSITORY, [*platforms, added], "2.0")
    expect(verify(product, image, "--recursive"), "unsigned", "the same tag with a third platform")


# --- the parties ---


def sealwright(product: Product, *words: str) -> subprocess.CompletedProcess[str]:
    """Run our own command as a build system does."""
    env = {
        **os.environ,
        "SEALWRIGHT_URL": product.url,
        "SEALWRIGHT_TOKEN_FILE": str(product.state / "credentials" / "builder"),
    }
    return run([SEALWRIGHT, *words], env=env)


def verify(product: Product, image: str, *more: str) -> str:
    """Return the verdict, and check that the exit code tells the same."""
    done = sealwright(product, "verify", "--json", *more, image)
    check(done.returncode in (0, 1), f"sealwright verify: {done.stderr}")
    verdict = str(json.loads(done.stdout)["results"][0]["verdict"])
    check((done.returncode == 0) == (verdict == "verified"), "exit code and verdict differ")
    return verdict


def openssl_accepts(key: Path, payload: bytes, signature: bytes, work: Path) -> bool:
    (work / "payload").write_bytes(payload)
    (work / "signature").write_bytes(signature)
    words = ["openssl", "dgst", "-sha256", "-verify", str(key)]
    done = run([*words, "-signature", str(work / "signature"), str(work / "payload")])
    return done.returncode == 0 and done.stdout.strip() == "Verified OK"


def find_cosign() -> str | None:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    clients = os.environ.get("SEALWRIGHT_CLIENTS") or str(cache / "sealwright" / "clients")
    return shutil.which("cosign", path=clients) or shutil.which("cosign")


def cosign_accepts(cosign: str, key: Path, image: str, *more: str) -> bool:
    words = ["verify", "--key", str(key), "--insecure-ignore-tlog", "--allow-http-registry"]
    return run([cosign, *words, *more, image]).returncode == 0


# --- at the registry ---


def application(version: str) -> dict[str, bytes]:
    return {
        "app/main.py": b"import config\nprint(config.VERSION)\n",
        "app/config.py": f"VERSION = {version!r}\n".encode(),
        "app/data/words.txt": b"sign\nverify\n" * 500,
        "etc/app.conf": b"listen = 127.0.0.1\n",
    }


def attached(registry: RunningRegistry, digest: Digest) -> tuple[bytes, bytes]:
    """Return payload and signature as anybody finds them in cosign's place."""
    layers = registry.signature_layers(REPOSITORY, digest)
    check(len(layers) == 1, f"{len(layers)} signatures are attached, not one")
    payload = registry.get_blob(REPOSITORY, str(layers[0]["digest"]))
    check(payload is not None, "the signed payload is not at the registry")
    annotations = layers[0]["annotations"]
    assert isinstance(annotations, dict)
    assert payload is not None
    return payload, b64decode(annotations[SIGNATURE])


def bundled(registry: RunningRegistry, digest: Digest) -> tuple[bytes, bytes]:
    """Return statement and signature of the bundle, as anybody finds them by the fallback tag."""
    entries = registry.referrer_entries(REPOSITORY, digest)
    check(len(entries) == 1, f"{len(entries)} manifests refer to the image, not one")
    stored = registry.get_manifest(REPOSITORY, str(entries[0]["digest"]))
    assert stored is not None
    layer = json.loads(stored.content)["layers"][0]["digest"]
    content = registry.get_blob(REPOSITORY, layer)
    check(content is not None, "the bundle is not at the registry")
    assert content is not None
    envelope = json.loads(content)["dsseEnvelope"]
    return b64decode(envelope["payload"]), b64decode(envelope["signatures"][0]["sig"])


def pae(statement: bytes) -> bytes:
    """Return what a DSSE signature is over."""
    kind = b"application/vnd.in-toto+json"
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(statement), statement)


def copy_signature(registry: RunningRegistry, source: Digest, target: Digest, suffix: str) -> None:
    """Put what lies under the source's tag under the target's too."""
    stored = registry.get_manifest(REPOSITORY, f"sha256-{source.hex}{suffix}")
    check(stored is not None, "there is no signature to copy")
    assert stored is not None
    tag = f"sha256-{target.hex}{suffix}"
    registry.push_manifest(REPOSITORY, tag, stored.content, stored.media_type)


def put_signature(
    registry: RunningRegistry, target: Digest, payload: bytes, signature: bytes
) -> None:
    """Rewrite the signature manifest of `target` to carry this payload."""
    tag = f"sha256-{target.hex}.sig"
    stored = registry.get_manifest(REPOSITORY, tag)
    assert stored is not None
    manifest = json.loads(stored.content)
    layer = manifest["layers"][0]
    layer["digest"] = str(registry.push_blob(REPOSITORY, payload))
    layer["size"] = len(payload)
    check(b64decode(layer["annotations"][SIGNATURE]) == signature, "another signature")
    registry.push_manifest(REPOSITORY, tag, json.dumps(manifest).encode(), OCI_MANIFEST)


# --- telling ---


def run(
    command: Sequence[str], env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def expect(verdict: str, wanted: str, what: str) -> None:
    check(verdict == wanted, f"{what}: {verdict}, not {wanted}")
    say("verify", f"{verdict}: {what}")


def check(condition: bool, failure: str) -> None:
    if not condition:
        raise DemoFailure(failure)


def say(step: str, words: str) -> None:
    print(f"{step:<9} {words}", flush=True)


if __name__ == "__main__":
    sys.exit(main())

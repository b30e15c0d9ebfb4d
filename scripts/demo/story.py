"""What the demo shows: signed, accepted by everybody, and refused once it was tampered with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from scripts.demo.at_registry import (
    REPOSITORY,
    attached,
    bundled,
    copy_signature,
    pae,
    put_signature,
)
from scripts.demo.judges import TRUST, Image, Judge
from scripts.demo.telling import check, run, say
from tests.support.product import Product

SEALWRIGHT = str(Path(sys.executable).with_name("sealwright"))
FORMATS = ("cosign", "bundle", "notation", "openpgp")


def tell_the_story(product: Product, judges: Sequence[Judge], work: Path) -> None:
    registry = product.images
    repository = f"{product.registry}/{REPOSITORY}"
    say("ready", f"service {product.url}, registry {product.registry}")

    digest = registry.push_image(REPOSITORY, "1.0", application("1.0"))
    image = Image(repository, "1.0", str(digest))
    say("pushed", f"{image.full} (two layers)")
    expect(verify(product, image.full), "unsigned", "before anything is signed")
    export_trust(product, work)
    check(not any(judge.accepts(image) for judge in judges), "a client accepts what is unsigned")

    sign(product, image.full)
    key = work / TRUST / "cosign.pub"
    payload, signature = attached(registry, digest)
    check(str(digest).encode() in payload, "the signed payload names another digest")
    check(openssl_accepts(key, payload, signature, work), "openssl refuses the signature")
    say("openssl", "accepts the payload and signature fetched from the registry")
    statement, by_bundle = bundled(registry, digest)
    check(str(digest.hex).encode() in statement, "the bundle's statement names another digest")
    check(openssl_accepts(key, pae(statement), by_bundle, work), "openssl refuses the bundle")
    say("openssl", "accepts the statement and signature of the bundle that refers to the image")
    ask(judges, image)
    expect(verify(product, image.full), "verified", "the image as it was signed")

    # A copy with one file changed, and the original's signatures put beside it.
    forged = registry.push_image(REPOSITORY, "1.0-copy", application("1.0 with a back door"))
    copy_signature(registry, digest, forged, ".sig")
    copy_signature(registry, digest, forged, "")
    copy = Image(repository, "1.0-copy", str(forged))
    say("tampered", "changed a file, and put the signatures beside the changed copy")
    expect(verify(product, copy.pinned), "rejected", "the copy under the original's signature")

    # And once more, with the payload rewritten so that it names the copy.
    rewritten = payload.replace(str(digest).encode(), str(forged).encode())
    check(rewritten != payload, "the payload was not rewritten")
    put_signature(registry, forged, rewritten, signature)
    check(not openssl_accepts(key, rewritten, signature, work), "openssl accepts a forgery")
    say("openssl", "refuses the rewritten payload")
    for judge in judges:
        check(not judge.accepts(copy), f"{judge.name} accepts a forgery")
    if judges:
        say("clients", f"none of the {len(judges)} accepts the copy")
    expect(verify(product, copy.pinned), "rejected", "the copy with a rewritten payload")
    expect(verify(product, image.full), "verified", "the original, still")
    several_platforms(product, judges)


def several_platforms(product: Product, judges: Sequence[Judge]) -> None:
    """Sign an index and what is in it; add a platform, which nobody has signed."""
    registry = product.images
    platforms = [
        registry.push_image(REPOSITORY, files=application(name), architecture=name)
        for name in ("amd64", "arm64")
    ]
    index = registry.push_index(REPOSITORY, platforms, "2.0")
    image = Image(f"{product.registry}/{REPOSITORY}", "2.0", str(index))
    sign(product, image.full, "--recursive", quiet=True)
    expect(verify(product, image.tagged, "--recursive"), "verified", "an index of two platforms")
    ask(judges, image)
    added = registry.push_image(REPOSITORY, files=application("riscv64"), architecture="riscv64")
    registry.push_index(REPOSITORY, [*platforms, added], "2.0")
    expect(
        verify(product, image.tagged, "--recursive"),
        "unsigned",
        "the same tag with a third platform",
    )


# --- the parties ---


def sealwright(product: Product, *words: str) -> subprocess.CompletedProcess[str]:
    """Run our own command as a build system does."""
    env = {
        **os.environ,
        "SEALWRIGHT_URL": product.url,
        "SEALWRIGHT_TOKEN_FILE": str(product.state / "credentials" / "builder"),
    }
    return run([SEALWRIGHT, *words], env=env)


def sign(product: Product, image: str, *more: str, quiet: bool = False) -> None:
    formats = [word for name in FORMATS for word in ("--format", name)]
    signed = sealwright(product, "sign", *formats, *more, image)
    check(signed.returncode == 0, f"sealwright sign: {signed.stdout}{signed.stderr}")
    for line in () if quiet else signed.stdout.splitlines():
        say("signed", line.removeprefix("signed").strip())


def export_trust(product: Product, work: Path) -> None:
    """Write the files that the clients verify with."""
    done = sealwright(product, "trust", "export", str(work / TRUST))
    check(done.returncode == 0, f"sealwright trust export: {done.stdout}{done.stderr}")


def ask(judges: Sequence[Judge], image: Image) -> None:
    for judge in judges:
        check(judge.accepts(image), f"{judge.name} refuses {image.full}")
        say("accepted", f"by {judge.name}, with the file that the service handed it")


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


def application(version: str) -> dict[str, bytes]:
    return {
        "app/main.py": b"import config\nprint(config.VERSION)\n",
        "app/config.py": f"VERSION = {version!r}\n".encode(),
        "app/data/words.txt": b"sign\nverify\n" * 500,
        "etc/app.conf": b"listen = 127.0.0.1\n",
    }


def expect(verdict: str, wanted: str, what: str) -> None:
    check(verdict == wanted, f"{what}: {verdict}, not {wanted}")
    say("verify", f"{verdict}: {what}")

"""Clients that we did not write, each with the file that the service handed it, unedited.

`make conformance` installs them; which of them this machine has is said, and only those are
asked. `TRUST` is where `sealwright trust export` wrote its files.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.demo.telling import check, run, say

TRUST = "trust"
OLD_FORM = "--new-bundle-format=false"  # cosign 3: look at `.sig`, as older ones do


@dataclass(frozen=True)
class Image:
    """One image, as the various clients want it named."""

    repository: str
    tag: str
    digest: str

    @property
    def tagged(self) -> str:
        return f"{self.repository}:{self.tag}"

    @property
    def pinned(self) -> str:
        return f"{self.repository}@{self.digest}"

    @property
    def full(self) -> str:
        return f"{self.tagged}@{self.digest}"


@dataclass(frozen=True)
class Judge:
    """Somebody's client. `accepts` tells whether it takes the image."""

    name: str
    accepts: Callable[[Image], bool]


def find_judges(work: Path, *, need_all: bool) -> Sequence[Judge]:
    """Return those that this machine has; with `need_all` a missing one is a failure."""
    trust = work / TRUST
    policies = trust / "containers"

    def cosign(program: str, *more: str) -> Callable[[Image], bool]:
        words = [program, "verify", "--key", str(trust / "cosign.pub")]
        words += ["--trusted-root", str(trust / "trusted_root.json"), "--allow-http-registry"]
        return lambda image: _passes(work, *words, *more, image.pinned)

    def notation(program: str) -> Callable[[Image], bool]:
        return lambda image: _passes(work, program, str(trust / "notation"), image.pinned)

    def library(program: str, policy: str) -> Callable[[Image], bool]:
        words = [program, str(policies / policy), str(policies / "registries.d")]
        return lambda image: _passes(work, *words, image.tagged)

    def skopeo(program: str) -> Callable[[Image], bool]:
        words = [program, "--policy", str(policies / "policy-openpgp.json")]
        words += ["--registries.d", str(policies / "registries.d"), "copy"]
        words += ["--remove-signatures", "--src-tls-verify=false"]

        def accepts(image: Image) -> bool:
            copy = work / "copied"
            shutil.rmtree(copy, ignore_errors=True)
            return _passes(work, *words, f"docker://{image.tagged}", f"dir:{copy}")

        return accepts

    wanted: list[tuple[str, str, Callable[[str], Callable[[Image], bool]]]] = [
        ("cosign 3 on the bundle", "cosign", cosign),
        ("cosign 3 on the .sig", "cosign", lambda program: cosign(program, OLD_FORM)),
        ("cosign 2.6", "cosign-2", cosign),
        ("notation-go", "notation-judge", notation),
        ("containers/image on the .sig", "image-judge", lambda p: library(p, "policy.json")),
        (
            "containers/image on OpenPGP",
            "image-judge",
            lambda p: library(p, "policy-openpgp.json"),
        ),
        ("skopeo on OpenPGP", "skopeo", skopeo),
        ("podman on OpenPGP", "podman", lambda program: _podman(program, work)),
    ]
    found, missing = [], []
    for name, command, make in wanted:
        program = _find(command)
        if program is None:
            missing.append(name)
        else:
            found.append(Judge(name, make(program)))
    if missing:
        check(not need_all, f"not on this machine: {', '.join(missing)}")
        say("not asked", f"{', '.join(missing)} (make conformance installs them)")
    return found


def _podman(program: str, work: Path) -> Callable[[Image], bool]:
    """podman reads its policy from the user's directory, or from /etc, and from nowhere else."""
    storage = ["--storage-driver", "vfs", "--root", str(work / "p"), "--runroot", str(work / "r")]

    def accepts(image: Image) -> bool:
        config = work / ".config" / "containers"
        shutil.rmtree(config, ignore_errors=True)
        shutil.copytree(work / TRUST / "containers", config)
        shutil.copy(config / "policy-openpgp.json", config / "policy.json")
        return _passes(work, program, *storage, "pull", "--tls-verify=false", image.tagged)

    return accepts


def _find(command: str) -> str | None:
    """Look in the cache of `scripts/install-clients` first, then on the PATH."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    clients = os.environ.get("SEALWRIGHT_CLIENTS") or str(cache / "sealwright" / "clients")
    return shutil.which(command, path=clients) or shutil.which(command)


def _passes(home: Path, *words: str) -> bool:
    return run(words, env={"HOME": str(home), "PATH": os.environ["PATH"]}).returncode == 0

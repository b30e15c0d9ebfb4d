"""cosign as a judge and as a foreign writer, without any network beyond loopback."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# What cosign 2.6 needs before it looks at bundles; it names no log and no authority.
EMPTY_ROOT = {"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1"}


@dataclass(frozen=True)
class Cosign:
    program: str
    home: Path
    is_older: bool = False
    """2.6: bundles only with a trusted root, and made by a flag."""
    more_env: Mapping[str, str] = field(default_factory=dict)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        env = {"HOME": str(self.home), "PATH": os.environ["PATH"], "COSIGN_PASSWORD": ""}
        env |= self.more_env
        return subprocess.run(
            [self.program, *words],
            env=env,
            cwd=self.home,
            capture_output=True,
            text=True,
            check=False,
        )

    def verify(self, key: Path, image: str, *more: str) -> subprocess.CompletedProcess[str]:
        root: tuple[str, ...] = ()
        if self.is_older:
            (self.home / "root.json").write_text(json.dumps(EMPTY_ROOT))
            root = ("--trusted-root", "root.json")
        return self.run(
            *("verify", "--key", str(key), "--insecure-ignore-tlog"),
            *("--allow-http-registry", *root, *more, image),
        )

    def accepts(self, key: Path, image: str, *more: str) -> bool:
        return self.verify(key, image, *more).returncode == 0

    def sign(self, key: Path, image: str, *, bundle: bool = False, recursive: bool = False) -> None:
        """Sign as anybody's pipeline without a transparency log would."""
        form = () if bundle else ("--new-bundle-format=false",)
        form += ("--recursive",) if recursive else ()
        done = self.run(
            *("sign", "--key", str(key), "--yes", "--use-signing-config=false"),
            *("--tlog-upload=false", *form, "--allow-http-registry", image),
        )
        assert done.returncode == 0, done.stderr

    def attest(self, key: Path, image: str, predicate: Any, kind: str) -> None:
        file = self.home / "predicate.json"
        file.write_text(json.dumps(predicate))
        done = self.run(
            *("attest", "--key", str(key), "--yes", "--use-signing-config=false"),
            *("--tlog-upload=false", "--type", kind, "--predicate", str(file)),
            *("--allow-http-registry", image),
        )
        assert done.returncode == 0, done.stderr

    def new_key(self, name: str) -> tuple[Path, Path]:
        """Return the files of a private and a public key."""
        done = self.run("generate-key-pair", "--output-key-prefix", name)
        assert done.returncode == 0, done.stderr
        return self.home / f"{name}.key", self.home / f"{name}.pub"

    def verify_attestation(
        self, trust: Path, image: str, kind: str, *more: str
    ) -> subprocess.CompletedProcess[str]:
        """Verify as an export's README says: with the log's proof, and no flag to ignore it."""
        form = ("--new-bundle-format",) if self.is_older else ()
        return self.run(
            *("verify-attestation", *form, "--type", kind, "--key", str(trust / "cosign.pub")),
            *("--trusted-root", str(trust / "trusted_root.json")),
            *("--allow-http-registry", *more, image),
        )

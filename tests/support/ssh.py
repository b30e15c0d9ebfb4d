"""OpenSSH's own `ssh-keygen`: it makes the keys and signatures that the tests use, and judges."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SSHKey:
    """A key pair in files, without a passphrase."""

    private: Path

    @property
    def line(self) -> str:
        return self.private.with_suffix(".pub").read_text().strip()

    def sign(self, message: bytes, namespace: str, *options: str) -> str:
        words = ("-Y", "sign", "-q", "-f", str(self.private), "-n", namespace, *options)
        return ssh_keygen(*words, stdin=message).decode()


def ssh_keygen(*words: str, stdin: bytes = b"") -> bytes:
    done = subprocess.run(["ssh-keygen", *words], input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def make_key(directory: Path, kind: str = "ed25519", *options: str) -> SSHKey:
    private = directory / f"id_{kind}_{len(list(directory.iterdir()))}"
    ssh_keygen("-q", "-t", kind, *options, "-N", "", "-C", "a comment", "-f", str(private))
    return SSHKey(private)


def accepts(directory: Path, *, line: str, signature: str, message: bytes, namespace: str) -> bool:
    """Whether `ssh-keygen -Y verify` takes the signature as one by the key of `line`."""
    signers, file = directory / "allowed_signers", directory / "document.sig"
    signers.write_text(f"somebody {line}\n")
    file.write_text(signature)
    words = ["-Y", "verify", "-f", str(signers), "-I", "somebody", "-n", namespace]
    done = subprocess.run(
        ["ssh-keygen", *words, "-s", str(file)], input=message, capture_output=True, check=False
    )
    return done.returncode == 0

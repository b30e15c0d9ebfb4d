"""Signing with the user's own `ssh-keygen`: keys in files, in agents and in security keys."""

from __future__ import annotations

import subprocess
from pathlib import Path

import click


def sign(document: bytes, key: Path, *, namespace: str) -> str:
    """Return the armored signature of `document` by `key`.

    ssh-keygen asks for a passphrase, or for a touch, on the terminal by itself.
    """
    command = ["ssh-keygen", "-Y", "sign", "-q", "-f", str(key), "-n", namespace]
    try:
        # S603, S607: the user's own program, from where the user has it.
        done = subprocess.run(command, input=document, stdout=subprocess.PIPE, check=False)  # noqa: S603
    except OSError as error:
        raise click.UsageError(
            f"ssh-keygen cannot be run ({error.strerror}): install OpenSSH, or sign elsewhere what "
            "`sealwright approvals document ID` prints, and hand it in with --signature"
        ) from error
    if done.returncode != 0:
        raise click.UsageError(f"ssh-keygen did not sign with {key}")
    return done.stdout.decode("ascii")

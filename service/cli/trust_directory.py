"""A directory of trust files on disk, written so that whoever reads it at that moment is safe.

Each file is replaced as a whole, and only then is taken away what is no longer trusted. A
directory that is not an earlier export of ours, or that holds anything else, is left alone.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import click

MARK: Final = b"# What to trust of Sealwright\n"
_MARKED: Final = "README.md"
_SEGMENT: Final = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_OURS: Final = re.compile(
    r"README\.md|(keys/SEGMENT/)?cosign(-v[0-9]+)?\.pub"
    r"|(trusted_root|withdrawals)\.json|(kyverno|policy-controller|openshift)\.yaml"
    r"|notation/trustpolicy\.json|notation/truststore/x509/(ca|tsa)/sealwright/root-[0-9]+\.pem"
    r"|containers/(policy(-openpgp)?\.json|registries\.d/sealwright\.yaml|SEGMENT\.gpg)".replace(
        "SEGMENT", _SEGMENT
    )
)
_LEFT_OVER: Final = re.compile(r"(.*/)?\.new-[0-9a-f]{16}")


def write(directory: Path, files: Mapping[str, bytes]) -> None:
    """Make the directory hold exactly these files, which must be of the known layout.

    Raises:
        click.ClickException: it holds something else, or cannot be written.
    """
    foreign = sorted(path for path in files if not _OURS.fullmatch(path))
    if foreign:
        raise click.ClickException(f"the service sent a file of another layout: {foreign[0]!r}")
    try:
        old = _present(directory)
        directory.mkdir(parents=True, exist_ok=True)
        # The README first: whatever is interrupted from here on can be repeated.
        for path in sorted(files, key=lambda path: (path != _MARKED, path)):
            _replace(directory / path, files[path])
        for path in old - files.keys():
            _remove(directory, path)
    except OSError as error:
        raise click.ClickException(f"{directory} cannot be written: {error}") from error


def _present(directory: Path) -> set[str]:
    """Return the files of the earlier export."""
    if not directory.exists():
        return set()
    if not directory.is_dir():
        raise click.ClickException(f"{directory} is not a directory")
    found: set[str] = set()
    for path in directory.rglob("*"):
        name = path.relative_to(directory).as_posix()
        if path.is_symlink() or not (path.is_dir() or _is_ours(name)):
            raise click.ClickException(f"{directory} holds {name}, which no export of ours does")
        if not path.is_dir():
            found.add(name)
    if found and not _is_marked(directory / _MARKED):
        raise click.ClickException(f"{directory} is not empty, and no export of ours")
    return found


def _is_ours(name: str) -> bool:
    return _OURS.fullmatch(name) is not None or _LEFT_OVER.fullmatch(name) is not None


def _is_marked(readme: Path) -> bool:
    if not readme.is_file():
        return False
    with readme.open("rb") as file:
        return file.read(len(MARK)) == MARK


def _replace(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Hidden, because tools read every file of a trust store; the layout knows such names too, so
    # that what a crash leaves over is cleared away.
    temporary = path.with_name(f".new-{secrets.token_hex(8)}")
    try:
        temporary.write_bytes(content)
        temporary.chmod(0o644)  # read by other people's tools, whatever our umask is
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _remove(directory: Path, path: str) -> None:
    """Take the file away, and the directories that are then empty."""
    file = directory / path
    file.unlink()
    parent = file.parent
    while parent != directory and not any(parent.iterdir()):
        parent.rmdir()
        parent = parent.parent

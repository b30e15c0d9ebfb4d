"""SoftHSM's token directory as files: found, copied while it is in use, put into an empty place.

Knows of SoftHSM no more than softhsm2.conf(5) says. Objects are small files that it rewrites in
place, so what was read counts only when a second look finds the same.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from service.domain import configfile
from service.domain.errors import ConfigurationError, HSMUnavailableError

_CONFS: Final = (Path("/etc/softhsm/softhsm2.conf"), Path("/etc/softhsm2.conf"))
_DEFAULT_DIRECTORY: Final = "/var/lib/softhsm/tokens/"
_LOOKS: Final = 200  # an object is written in milliseconds; keys are not made all the time
_PAUSE_SECONDS: Final = 0.05


def is_softhsm(module: Path) -> bool:
    """Whether a PKCS#11 module is SoftHSM's own, so that its token is files on this machine."""
    return module.name.startswith("libsofthsm2.")


def token_directory(conf: Path | None) -> Path:
    """Return the directory of the tokens that this file names, or the user's, or the system's.

    Raises:
        ConfigurationError: there is no such file, or its objects are not files.
    """
    places = (Path.home() / ".config/softhsm2/softhsm2.conf", *_CONFS)
    file = conf or next((one for one in places if one.exists()), _CONFS[0])
    told: dict[str, str] = dict(
        re.findall(r"^\s*([a-z.]+)\s*=\s*(.*?)\s*$", configfile.read(file).decode(), re.MULTILINE)
    )
    if told.get("objectstore.backend", "file") != "file":
        raise ConfigurationError(f"{file}: only tokens of objectstore.backend = file can be copied")
    return Path(told.get("directories.tokendir", _DEFAULT_DIRECTORY))


def write_conf(file: Path, directory: Path) -> None:
    """Write the least configuration that makes SoftHSM use the directory."""
    file.write_text(
        f"directories.tokendir = {directory}\nobjectstore.backend = file\nlog.level = ERROR\n",
        encoding="utf-8",
    )


def copy_tokens(source: Path, target: Path) -> None:
    """Copy what a token directory holds now to `target`, which must be empty or not exist.

    Raises:
        HSMUnavailableError: it holds no token, cannot be read or written, or never stood still.
    """
    try:
        # What is made from now on need not be in the copy.
        names = [str(file.relative_to(source)) for file in sorted(source.glob("*/*"))]
        if not names:
            raise HSMUnavailableError(f"there is no token in {source}")
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, content in _at_rest(source, names).items():
            copy = target / name
            copy.parent.mkdir(mode=0o700, exist_ok=True)
            descriptor = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as written:
                written.write(content)
                written.flush()
                os.fsync(written.fileno())
    except OSError as error:
        raise HSMUnavailableError(
            f"the token directory {source} could not be copied: {error.strerror}"
        ) from error


def _at_rest(source: Path, names: Sequence[str]) -> dict[str, bytes]:
    """Return the contents of these files, as two looks in a row found them, but for those that went."""
    for _ in range(_LOOKS):
        found = _look(source, names)
        if found == _look(source, names):
            return found
        time.sleep(_PAUSE_SECONDS)
    raise HSMUnavailableError(f"the token directory {source} changes all the time")


def _look(source: Path, names: Sequence[str]) -> dict[str, bytes]:
    found = {}
    for name in names:
        with suppress(FileNotFoundError):  # destroyed meanwhile
            found[name] = (source / name).read_bytes()
    return found

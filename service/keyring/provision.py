"""Make a token with random PINs: `python -m service.keyring.provision --module … --label …`.

PINs are read from files, and made there (mode 0600) where the files are missing: never an
argument, which every user of the machine could read. A token that exists is left alone. The
answer is one line of JSON: `{"label": …, "serial": …}`.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import mkstemp
from typing import Final

import hsm
from hsm.provision import init_token as _init_token

_PIN_BYTES: Final = 16  # SoftHSM encrypts its files under the PIN, so it must not be guessable


def init_token(module: Path, label: str, so_pin: Path, pin: Path) -> str:
    """Make the token and its PIN files where they are missing; return its serial.

    Two processes that do this with the same SO PIN file take turns.

    Raises:
        hsm.HSMError
        OSError: the files cannot be made.
    """
    for path in (so_pin, pin):
        _make_pin(path)
    with so_pin.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        return _init_token(module, label, so_pin=hsm.PIN.read(so_pin), pin=hsm.PIN.read(pin))


def _make_pin(path: Path) -> None:
    """Put a random PIN into the file unless it exists; whoever is first wins."""
    if path.exists():
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = mkstemp(dir=path.parent, prefix=f".{path.name}.")
    made = Path(name)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(_PIN_BYTES))
        path.hardlink_to(made)  # fails if somebody was faster, and is complete if not
    except FileExistsError:
        return
    finally:
        made.unlink()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m service.keyring.provision",
        description="Make a PKCS#11 token with random PINs, unless it exists.",
    )
    parser.add_argument("--module", type=Path, required=True, help="the PKCS#11 module")
    parser.add_argument("--label", required=True, help="the token's label, at most 32 bytes")
    parser.add_argument("--so-pin-file", type=Path, required=True)
    parser.add_argument("--pin-file", type=Path, required=True)
    given = parser.parse_args(arguments)
    try:
        serial = init_token(given.module, given.label, given.so_pin_file, given.pin_file)
    except (hsm.HSMError, OSError, ValueError) as error:
        print(f"provision: {error}", file=sys.stderr)  # noqa: T201 -- a program's own words
        return 1
    print(json.dumps({"label": given.label, "serial": serial}))  # noqa: T201 -- its answer
    return 0


if __name__ == "__main__":
    sys.exit(main())

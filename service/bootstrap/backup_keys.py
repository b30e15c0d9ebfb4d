"""Asks a token that lies in a backup for keys, in a process of its own.

SoftHSM reads once in a process which tokens are its own, and those of the backup are not the
service's. They are looked at in a copy, so that a login leaves no trace in the backup.

The child is `python -m service.bootstrap.backup_keys`, with the order as JSON on its input.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from service.bootstrap.api import token_config
from service.bootstrap.settings import name_softhsm_conf
from service.bootstrap.tokens_file import TokenSettings
from service.domain.errors import HSMUnavailableError
from service.domain.keys import Algorithm, KeyVersion, Purpose
from service.domain.limits import MAX_PAGE
from service.domain.pages import PageRequest
from service.keyring import Held, Presence, WantedKey, copy_tokens, look, write_conf
from service.ports.store import KeyCatalog

_CHILD_SECONDS: Final = 180.0  # to load, log in and sign some dozen times on a busy machine


def versions_that_may_sign(keys: KeyCatalog) -> list[KeyVersion]:
    """Return every version, of our own CA too, that signs or may yet."""
    found: list[KeyVersion] = []
    for purpose in (None, Purpose.CA):
        cursor: str | None = None
        while True:
            page = keys.list(purpose, PageRequest(MAX_PAGE, cursor))
            found += [v for key in page.items for v in key.versions if v.has_a_future]
            cursor = page.next
            if cursor is None:
                break
    return found


def look_in_copy(
    tokens: Path, token: TokenSettings, versions: Iterable[KeyVersion]
) -> Sequence[Held]:
    """Look for the versions on this token in a copy of a token directory.

    Raises:
        HSMUnavailableError: nothing could be asked.
    """
    with TemporaryDirectory(prefix="sealwright-") as private:
        copy_tokens(tokens, Path(private) / "tokens")
        conf = Path(private) / "softhsm2.conf"
        write_conf(conf, Path(private) / "tokens")
        order = {
            "conf": str(conf),
            "module": str(token.module),
            "label": token.label,
            "serial": token.serial,
            "pin_file": str(token.pin_file),
            "with_pin": token.pin_file.is_file(),
            "keys": [
                [version.subject, version.algorithm, version.cka_id.hex(), version.public_key.hex()]
                for version in versions
            ],
        }
        try:
            done = subprocess.run(  # our own interpreter, with constant arguments
                [sys.executable, "-m", "service.bootstrap.backup_keys"],
                input=json.dumps(order),
                capture_output=True,
                text=True,
                check=True,
                timeout=_CHILD_SECONDS,
            )
            return [
                Held(subject, Presence(presence), detail)
                for subject, presence, detail in json.loads(done.stdout.splitlines()[-1])
            ]
        except (subprocess.SubprocessError, ValueError, IndexError) as error:
            raise HSMUnavailableError(
                f"the token {token.label!r} of the backup could not be asked"
            ) from error


def main() -> None:
    """The child."""
    order = json.load(sys.stdin)
    name_softhsm_conf(Path(order["conf"]))
    token = TokenSettings(
        Path(order["module"]), order["label"], order["serial"], Path(order["pin_file"])
    )
    keys = [
        WantedKey(subject, Algorithm(algorithm), bytes.fromhex(cka_id), bytes.fromhex(spki))
        for subject, algorithm, cka_id, spki in order["keys"]
    ]
    found = look(token_config(token), keys, with_pin=order["with_pin"])
    told = [list(asdict(one).values()) for one in found]
    print(json.dumps(told))  # noqa: T201 -- its answer


if __name__ == "__main__":
    main()

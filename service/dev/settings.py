"""The environment of `sealwright dev`: what it takes from it, and what its parts get."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from typing import Final

from service.dev.errors import USAGE, SetupError

# Everything else that begins with SEALWRIGHT_ belongs to another installation and would
# quietly change what runs here.
_PASSED_ON: Final = frozenset(
    {
        "SEALWRIGHT_DATABASE_URL",
        "SEALWRIGHT_DATABASE_URL_FILE",
        "SEALWRIGHT_LOG_LEVEL",
        "SEALWRIGHT_THREADS",
        "SEALWRIGHT_TIMESTAMPS_FILE",
        "SEALWRIGHT_WITNESSES_FILE",
        "SEALWRIGHT_WORKERS",
    }
)


def base_environment(env: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return what every part inherits.

    Raises:
        SetupError: the environment asks for an address that other machines can reach.
    """
    env = os.environ if env is None else env
    bind = env.get("SEALWRIGHT_BIND")
    if bind is not None and not _is_loopback(bind.rpartition(":")[0]):
        raise SetupError(
            f"SEALWRIGHT_BIND is {bind!r}: `sealwright dev` listens on loopback only. "
            "`sealwright serve` is what others may reach.",
            exit_code=USAGE,
        )
    return {
        name: value
        for name, value in env.items()
        if not name.startswith("SEALWRIGHT_") or name in _PASSED_ON
    }


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False

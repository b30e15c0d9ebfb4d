"""The PKCS#11 token: one of SoftHSM in the state directory, or one that exists."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from service.dev.errors import SetupError
from service.dev.parts import run_to_end
from service.dev.state import State, write_private

LABEL: Final = "sealwright-dev"

# Where Debian, Fedora and Homebrew put it; the glob is Debian's multiarch directory.
_MODULES: Final = (
    "usr/lib/softhsm/libsofthsm2.so",
    "usr/lib/*/softhsm/libsofthsm2.so",
    "usr/lib64/pkcs11/libsofthsm2.so",
    "usr/lib64/libsofthsm2.so",
    "opt/homebrew/lib/softhsm/libsofthsm2.so",
    "usr/local/lib/softhsm/libsofthsm2.so",
)


@dataclass(frozen=True, slots=True)
class Token:
    """Where the keys lie. `env` is what the module itself reads."""

    module: Path
    label: str
    pin_file: Path
    env: Mapping[str, str]

    def settings(self) -> dict[str, str]:
        return {
            **self.env,
            "SEALWRIGHT_PKCS11_MODULE": str(self.module),
            "SEALWRIGHT_TOKEN_LABEL": self.label,
            "SEALWRIGHT_PIN_FILE": str(self.pin_file),
        }


def softhsm_module() -> Path:
    """Return SoftHSM's module where packages put it.

    Raises:
        SetupError: it is not installed.
    """
    for pattern in _MODULES:
        for found in sorted(Path("/").glob(pattern)):
            return found
    raise SetupError(
        "SoftHSM is not installed (Debian, Ubuntu: apt-get install softhsm2; Fedora: dnf install "
        "softhsm; macOS: brew install softhsm), or name another token: --module, --token, --pin-file"
    )


def own_token(state: State, env: Mapping[str, str]) -> Token:
    """Make the directory's own token with random PINs, or take the one that is there."""
    write_private(
        state.softhsm_config,
        f"directories.tokendir = {state.tokens}\nobjectstore.backend = file\nlog.level = ERROR\n",
    )
    module_env = {"SOFTHSM2_CONF": str(state.softhsm_config)}
    module = softhsm_module()
    made = run_to_end(
        [
            *(sys.executable, "-m", "service.keyring.provision"),
            *("--module", str(module), "--label", LABEL),
            *("--so-pin-file", str(state.so_pin_file), "--pin-file", str(state.pin_file)),
        ],
        env={**env, **module_env},
        log=state.logs / "setup.log",
    )
    label = json.loads(made)["label"]
    return Token(module, label, state.pin_file, module_env)

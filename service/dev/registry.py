"""The registry of its own: Debian's docker-registry with its storage in the state directory."""

from __future__ import annotations

import json
import secrets
import shutil
import socket
from collections.abc import Mapping
from typing import Final

from service.dev.errors import SetupError
from service.dev.parts import Spec
from service.dev.ports import LOOPBACK
from service.dev.state import State, write_private

# Debian's name for it, and the upstream project's.
_PROGRAMS: Final = ("docker-registry", "registry")


def own_registry(state: State, held: socket.socket, env: Mapping[str, str]) -> Spec:
    """Return how to start the registry on the port that `held` keeps for it.

    Raises:
        SetupError: no registry is installed.
    """
    program = next(filter(None, map(shutil.which, _PROGRAMS)), None)
    if program is None:
        raise SetupError(
            "docker-registry is not installed (Debian, Ubuntu: apt-get install docker-registry), "
            "or name a registry that runs: --registry HOST:PORT"
        )
    config = {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(state.registry_storage)},
            "delete": {"enabled": True},
        },
        # The secret binds an upload's state to its client; it need not outlive the process.
        "http": {"addr": f"{LOOPBACK}:{held.getsockname()[1]}", "secret": secrets.token_hex(16)},
    }
    # docker-registry reads YAML, of which JSON is a part.
    write_private(state.registry_config, json.dumps(config, indent=1))
    # It takes every REGISTRY_… variable for a setting of its own.
    clean = {name: value for name, value in env.items() if not name.startswith("REGISTRY_")}
    return Spec(
        "registry",
        (program, "serve", str(state.registry_config)),
        clean,
        state.logs / "registry.log",
    )

"""The command line's own settings."""

from __future__ import annotations

import os
from pathlib import Path


def debugging() -> bool:
    """Whether SEALWRIGHT_DEBUG asks for a traceback where a bug is met."""
    return os.environ.get("SEALWRIGHT_DEBUG", "") not in {"", "0"}


def registries_file() -> Path | None:
    """The registries file of this job, if SEALWRIGHT_REGISTRIES_FILE names one."""
    value = os.environ.get("SEALWRIGHT_REGISTRIES_FILE")
    return Path(value) if value else None


def registry_logins() -> Path | None:
    """The file with this job's own registry logins, where podman, skopeo or docker keep it.

    None where there is none: whoever has no login stays anonymous.
    """
    named, directory = os.environ.get("REGISTRY_AUTH_FILE"), os.environ.get("DOCKER_CONFIG")
    if named:
        return Path(named)
    file = (Path(directory) if directory else Path.home() / ".docker") / "config.json"
    return file if file.exists() else None

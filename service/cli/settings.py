"""The command line's own settings."""

from __future__ import annotations

import os


def debugging() -> bool:
    """Whether SEALWRIGHT_DEBUG asks for a traceback where a bug is met."""
    return os.environ.get("SEALWRIGHT_DEBUG", "") not in {"", "0"}

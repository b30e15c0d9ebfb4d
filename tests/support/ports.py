"""Ports that a test names before somebody listens there, or while nobody does."""

from __future__ import annotations

import secrets
import socket
from errno import EADDRINUSE
from typing import Final

# Linux gives those from 32768 on to whoever connects, or asks for any: it may at any moment.
_PORTS: Final = range(20_000, 32_768)


def free_port() -> int:
    """Return a loopback port that was free a moment ago, and that nobody gets by chance."""
    while True:
        port = secrets.choice(_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                if error.errno == EADDRINUSE:
                    continue
                raise
            return port

"""Loopback ports that stay ours for as long as we run, and come back with the directory."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Final

from service.dev.errors import USAGE, SetupError

LOOPBACK: Final = "127.0.0.1"
_BACKLOG: Final = 1024  # requests wait here while gunicorn's master starts again


def listen(port: int, remembered_in: Path) -> socket.socket:
    """Return the socket that the service listens on, which its parts inherit.

    The supervisor holds it, so a restart of gunicorn loses neither the port nor the
    connections that wait.

    Raises:
        SetupError: the port that was asked for is taken.
    """
    bound = _bind_wanted(port) if port else _bind_remembered(remembered_in)
    bound.listen(_BACKLOG)
    return bound


def reserve(remembered_in: Path) -> socket.socket:
    """Bind a port for a program that insists on binding it itself.

    Two sockets may bind one port on Linux while neither listens and both set SO_REUSEADDR
    (socket(7)), as Go programs do: the program gets the port at any time, and nobody gets it
    by chance while the program is down.
    """
    return _bind_remembered(remembered_in)


def _bind_wanted(port: int) -> socket.socket:
    try:
        return _bind(port)
    except OSError as error:
        raise SetupError(
            f"port {port} of {LOOPBACK} cannot be had: {error.strerror}", exit_code=USAGE
        ) from error


def _bind_remembered(file: Path) -> socket.socket:
    """Take the port of the last run where it is still free, or any other."""
    bound = None
    if file.exists():
        try:
            bound = _bind(int(file.read_text()))
        except (OSError, ValueError, OverflowError):
            bound = None  # somebody else's by now, or not a port: any other is as good
    if bound is None:
        bound = _bind(0)
    file.write_text(str(bound.getsockname()[1]))
    return bound


def _bind(port: int) -> socket.socket:
    fresh = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        fresh.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        fresh.bind((LOOPBACK, port))
    except (OSError, OverflowError):
        fresh.close()
        raise
    return fresh

"""Tokens behind the ports: the only package of the service that knows `hsm`."""

from __future__ import annotations

from service.keyring.diagnosis import Finding, diagnose
from service.keyring.keyring import Keyring, TokenConfig

__all__ = ["Finding", "Keyring", "TokenConfig", "diagnose"]

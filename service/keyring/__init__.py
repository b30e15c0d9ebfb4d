"""Tokens behind the ports: the only package of the service that knows `hsm`."""

from __future__ import annotations

from service.keyring.diagnosis import Finding, diagnose
from service.keyring.examination import CHECK_NAMES, crashed, examine
from service.keyring.gate import StoreGate
from service.keyring.guard import Vigilance
from service.keyring.keyring import Keyring, TokenConfig

__all__ = [
    "CHECK_NAMES",
    "Finding",
    "Keyring",
    "StoreGate",
    "TokenConfig",
    "Vigilance",
    "crashed",
    "diagnose",
    "examine",
]

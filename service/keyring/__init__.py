"""Tokens behind the ports: the only package of the service that knows `hsm`."""

from __future__ import annotations

from service.keyring.backed_up import Held, Presence, WantedKey, look
from service.keyring.diagnosis import Finding, diagnose
from service.keyring.examination import CHECK_NAMES, crashed, examine
from service.keyring.gate import StoreGate
from service.keyring.guard import Vigilance
from service.keyring.keyring import Keyring, TokenConfig
from service.keyring.softhsm import copy_tokens, is_softhsm, token_directory, write_conf

__all__ = [
    "CHECK_NAMES",
    "Finding",
    "Held",
    "Keyring",
    "Presence",
    "StoreGate",
    "TokenConfig",
    "Vigilance",
    "WantedKey",
    "copy_tokens",
    "crashed",
    "diagnose",
    "examine",
    "is_softhsm",
    "look",
    "token_directory",
    "write_conf",
]

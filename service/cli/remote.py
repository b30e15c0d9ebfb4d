"""The client that commands share."""

from __future__ import annotations

from service.client import ClientSettings, SealwrightClient


def client() -> SealwrightClient:
    """Raises SettingsError."""
    return SealwrightClient(ClientSettings.from_environment())

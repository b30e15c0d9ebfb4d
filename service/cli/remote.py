"""The client that commands share."""

from __future__ import annotations

from service.client import ClientSettings, SealwrightClient


def client(url: str | None = None) -> SealwrightClient:
    """Return a client of the service at `url`, or at SEALWRIGHT_URL. Raises SettingsError."""
    return SealwrightClient(ClientSettings.from_environment(url))

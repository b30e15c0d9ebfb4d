"""Whether the configured registries answer: for `doctor` and readiness."""

from __future__ import annotations

from collections.abc import Sequence

from service.domain.errors import ServiceError
from service.registry.client import OCIClient


class RegistryHealthCheck:
    """service.ports.registry.RegistryHealth."""

    def __init__(self, client: OCIClient) -> None:
        self._client = client

    def check(self) -> Sequence[tuple[str, str | None]]:
        found: list[tuple[str, str | None]] = []
        for config in self._client.configured():
            try:
                self._client.ping(config)
            except ServiceError as error:
                found.append((config.host, str(error)))
            else:
                found.append((config.host, None))
        return found

"""What `sealwright sign --push-from-here` needs: the registry client, with the job's own login.

Only the registries of the references are contacted, however a registry answers; where one sends
its clients to another host for tokens or blobs, a registries file says that this is right.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from service.bootstrap.formats import registry_attachers
from service.domain.clock import SystemClock
from service.domain.errors import ConfigurationError
from service.operations.fanout import Fanout
from service.operations.push_artifacts import PushArtifacts
from service.ports.registry import RegistryReader
from service.registry import FixedRegistries, OCIClient, RegistryBook, RegistryConfig

THREADS: Final = 8  # as the service's own deliveries

_ADDRESSES: Final = MappingProxyType({"docker.io": "registry-1.docker.io"})
_TOKEN_HOSTS: Final = MappingProxyType({"docker.io": frozenset({"auth.docker.io"})})
"""Docker Hub alone is called otherwise than it is reached."""


@dataclass(frozen=True, slots=True)
class OwnRegistries:
    """How a job reaches registries. `file`, where given, says it all; the rest is for the others."""

    file: Path | None = None
    docker_config: Path | None = None
    ca_file: Path | None = None
    plain_http: bool = False


def own_registries(
    wanted: OwnRegistries, hosts: Collection[str]
) -> tuple[RegistryReader, PushArtifacts]:
    """Return what reads from these registries and what attaches there.

    Raises:
        ConfigurationError: the registries file is wrong, or a file cannot be read.
    """
    clock = SystemClock()
    if wanted.file is not None:
        client = OCIClient(RegistryBook(wanted.file), clock)
    else:
        client = OCIClient(FixedRegistries([_config(wanted, host) for host in hosts]), clock)
    return client, PushArtifacts(registry_attachers(client, clock), Fanout(THREADS), clock)


def _config(wanted: OwnRegistries, host: str) -> RegistryConfig:
    if wanted.ca_file is not None and not wanted.ca_file.is_file():
        raise ConfigurationError(f"{wanted.ca_file} cannot be read")
    return RegistryConfig(
        host=host,
        address=_ADDRESSES.get(host, host),
        public_name=host,
        http=wanted.plain_http,
        ca_file=wanted.ca_file,
        docker_config=wanted.docker_config,
        token_hosts=_TOKEN_HOSTS.get(host, frozenset()),
    )

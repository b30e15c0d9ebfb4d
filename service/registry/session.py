"""Requests to one registry with the authorization that each needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from service.domain.clock import Clock
from service.domain.digests import Digest
from service.domain.errors import RegistryUnavailableError
from service.domain.references import Repository
from service.registry.answers import Answer
from service.registry.auth import Authorizer
from service.registry.config import RegistryConfig
from service.registry.transport import MAX_ERROR_BYTES, Transport

_UNAUTHORIZED: Final = 401


@dataclass(frozen=True, slots=True)
class Access:
    """What a request needs leave for, as a scope of distribution's auth/scope."""

    scope: str

    @classmethod
    def none(cls) -> Self:
        return cls("")

    @classmethod
    def pull(cls, repository: Repository) -> Self:
        return cls(f"repository:{repository.path}:pull")

    @classmethod
    def push(cls, repository: Repository) -> Self:
        return cls(f"repository:{repository.path}:pull,push")


class RegistrySession:
    """One configured registry with its connections and what it has taught us of its logins."""

    def __init__(self, config: RegistryConfig, clock: Clock) -> None:
        self.config = config
        self._transport = Transport(config, clock)
        self._authorizer = Authorizer(config, self._transport, clock)

    def request(
        self,
        method: str,
        path: str,
        access: Access,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        max_bytes: int = MAX_ERROR_BYTES,
        deadline: float | None = None,
    ) -> Answer:
        """Send a request to a path of the registry, or to a URL that `upload_url` gave.

        A 401 is answered once, by authorizing and sending the request again: its first
        sending was refused, so nothing has been done twice.
        """
        url = self._transport.url(path) if path.startswith("/") else path

        def send(authorization: str | None) -> Answer:
            extra = {} if authorization is None else {"Authorization": authorization}
            return self._transport.send(
                method,
                url,
                headers={**(headers or {}), **extra},
                body=body,
                max_bytes=max_bytes,
                deadline=deadline,
            )

        if not self._transport.is_own(url):
            return send(None)
        sent = self._authorizer.header(access.scope)
        answer = send(sent)
        if answer.status != _UNAUTHORIZED:
            return answer
        better = self._authorizer.answer(answer, access.scope, sent, deadline=deadline)
        return answer if better is None else send(better)

    def own_path(self, path: str, location: str) -> str | None:
        """Return where a link of the answer to `path` leads at this registry, None elsewhere."""
        target = self._transport.resolve(self._transport.url(path), location)
        if target is None or not self._transport.is_own(target):
            return None
        return target.removeprefix(self._transport.url(""))

    def upload_url(self, begun: Answer, digest: Digest) -> str:
        """Return where an upload that has begun is to be completed (end-6).

        Raises:
            RegistryUnavailableError: at no host that the registry's entry lists.
        """
        location = begun.headers.get("location")
        target = self._transport.resolve(self._transport.url("/"), location) if location else None
        if target is None:
            raise RegistryUnavailableError(
                f"{self.config.host} wants the upload at no host of its redirect_hosts"
            )
        return f"{target}{'&' if '?' in target else '?'}digest={digest}"

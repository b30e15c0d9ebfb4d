"""HTTP to one configured registry: pools, time and size limits, redirects by hand.

Guaranteed: nothing is sent to a host that the registry's entry does not list; Authorization
never leaves for another host than the registry; no request is repeated in secret; an answer
is complete and within its limits, or it is a RegistryUnavailableError.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from math import ceil
from threading import Lock
from typing import Final
from urllib.parse import SplitResult, urljoin, urlsplit

import urllib3

from service.domain import bounded
from service.domain.clock import Clock
from service.domain.errors import RegistryUnavailableError
from service.registry.answers import Answer
from service.registry.config import RegistryConfig

# Harbor lets only clients that call themselves cosign or notation read unsigned images where
# it enforces content trust.
USER_AGENT: Final = "sealwright/0.1 (cosign compatible)"
MAX_REDIRECTS: Final = 3  # a registry and its storage need one; a front end may add one
MAX_HOST_CHARS: Final = 100  # of what a stranger sent, in a message
MAX_REASON_CHARS: Final = 200
MAX_ERROR_BYTES: Final = 64 * 1024  # of a body that only explains
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


class Transport:
    """Sends requests to one registry and the hosts that its entry lists.

    Thread-safe. `_lock` guards `_pools`, one connection pool an origin; a pool is made at
    its first use, so that nothing is open when a process forks before.
    """

    def __init__(self, config: RegistryConfig, clock: Clock) -> None:
        self.config = config
        self._clock = clock
        self._lock = Lock()
        self._pools: dict[str, urllib3.HTTPConnectionPool] = {}
        scheme = "http" if config.http else "https"
        self._origin = f"{scheme}://{config.address.lower()}"

    def url(self, path: str) -> str:
        return self._origin + path

    def resolve(self, base: str, location: str) -> str | None:
        """Return where a Location leads, or None if that is no URL, or of a host that is not listed."""
        try:
            target = urljoin(base, location)
        except ValueError:
            return None
        return self._permitted(target, self.config.redirect_hosts)

    def token_url(self, realm: str) -> str | None:
        """Return the address of a token service, or None if its host is not listed."""
        return self._permitted(realm, self.config.token_hosts)

    def _permitted(self, url: str, hosts: frozenset[str]) -> str | None:
        """Return the URL to be used for `url` if it is the registry's own or one of `hosts`.

        A registry behind a proxy may speak of itself by any of its names and schemes: that
        is the registry still, and is reached at its own address.
        """
        try:
            target = urlsplit(url)
            netloc = _netloc(target.scheme, target.netloc)
        except ValueError:
            return None
        if target.scheme not in ("http", "https"):
            return None
        path = (target.path or "/") + (f"?{target.query}" if target.query else "")
        if netloc in {_netloc(target.scheme, name) for name in self.config.names}:
            return self._origin + path
        listed = netloc in {_netloc(target.scheme, name) for name in hosts}
        safe = target.scheme == "https" or self.config.http
        return f"{target.scheme}://{netloc}{path}" if listed and safe else None

    def is_own(self, url: str) -> bool:
        return url.startswith(self._origin + "/")

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None = None,
        max_bytes: int = MAX_ERROR_BYTES,
        deadline: float | None = None,
    ) -> Answer:
        """Send one request and read its answer whole; redirects of reads are followed.

        `max_bytes` limits the body of a 200; `deadline` is a time of the clock's monotonic.

        Raises:
            RegistryUnavailableError: there is no complete answer within the limits.
        """
        until = self._clock.monotonic() + self.config.limits.timeout_seconds
        until = until if deadline is None else min(until, deadline)
        for _ in range(MAX_REDIRECTS + 1):
            answer = self._once(method, url, headers, body, max_bytes=max_bytes, until=until)
            if answer.status not in _REDIRECTS or method not in ("GET", "HEAD"):
                return answer
            target = self.resolve(url, answer.headers.get("location", ""))
            if target is None:
                elsewhere = _host_in(answer.headers.get("location", ""))
                raise RegistryUnavailableError(
                    f"{self.config.host} redirects to {elsewhere!r}, which is not in its "
                    "redirect_hosts"
                )
            if not self.is_own(target):
                headers = {n: v for n, v in headers.items() if n.lower() != "authorization"}
            url = target
        raise RegistryUnavailableError(
            f"{self.config.host} redirects more than {MAX_REDIRECTS} times"
        )

    def _once(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        *,
        max_bytes: int,
        until: float,
    ) -> Answer:
        left = until - self._clock.monotonic()
        if left <= 0:
            raise RegistryUnavailableError(f"{self.config.host}: the time is up")
        target = urlsplit(url)
        try:
            response = self._pool(target).urlopen(
                method,
                target.path + (f"?{target.query}" if target.query else ""),
                body=body,
                headers={**headers, "User-Agent": USER_AGENT, "Accept-Encoding": "identity"},
                retries=False,
                redirect=False,
                timeout=urllib3.Timeout(connect=left, read=left),
                pool_timeout=ceil(left),
                preload_content=False,
                decode_content=False,
            )
            limit = max_bytes if response.status == 200 else MAX_ERROR_BYTES  # noqa: PLR2004 - OK
            try:
                content = bounded.read(response, most=limit, until=until, clock=self._clock)
            finally:
                # Returns the connection if the answer was read to its end, else ends it.
                if response.closed:
                    response.release_conn()
                else:
                    response.close()
        except bounded.Unbounded as error:
            raise RegistryUnavailableError(f"{self.config.host} {error}") from error
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            # ValueError: http.client and urllib3 raise its kinds for headers that are none.
            raise RegistryUnavailableError(f"{self.config.host} {_trouble(error)}") from error
        names = {name.lower(): value for name, value in response.headers.itermerged()}
        return Answer(self.config.host, response.status, names, content)

    def _pool(self, target: SplitResult) -> urllib3.HTTPConnectionPool:
        origin = f"{target.scheme}://{target.netloc}"
        with self._lock:
            pool = self._pools.get(origin)
            if pool is None:
                pool = self._pools[origin] = self._new_pool(target)
            return pool

    def _new_pool(self, target: SplitResult) -> urllib3.HTTPConnectionPool:
        connections = self.config.limits.max_connections
        host = target.hostname or ""
        if target.scheme == "http":
            return urllib3.HTTPConnectionPool(host, target.port, maxsize=connections, block=True)
        context = ssl.create_default_context()
        if self.config.ca_file is not None:
            context.load_verify_locations(self.config.ca_file)
        return urllib3.HTTPSConnectionPool(
            host, target.port, maxsize=connections, block=True, ssl_context=context
        )


def _host_in(location: str) -> str:
    """Return the host that a URL names, or nothing: for a message, and without its secrets."""
    try:
        return urlsplit(location).netloc.rpartition("@")[2][:MAX_HOST_CHARS]
    except ValueError:
        return ""


def _trouble(error: Exception) -> str:
    """Say what happened, for those who have to find out where."""
    faults = urllib3.exceptions
    match error:
        case faults.NameResolutionError():
            return "has a name that cannot be resolved"
        case faults.ConnectTimeoutError() | faults.NewConnectionError():
            return "cannot be connected to"
        case faults.TimeoutError() | TimeoutError():
            return "did not answer in time"
        case faults.SSLError() | ssl.SSLError():
            # OpenSSL's own words: which check of the certificate failed.
            reason = str(error).partition(" (_ssl.c")[0]
            return f"cannot be talked to by TLS: {reason[:MAX_REASON_CHARS]}"
        case faults.ProtocolError() | faults.IncompleteRead() | ConnectionError():
            return "broke its answer off"
        case _:
            return f"gave no complete answer ({type(error).__name__})"


def _netloc(scheme: str, netloc: str) -> str:
    """Return host and port in lower case, without the port that the scheme implies.

    User information is kept, so that a URL that has some equals no configured host.

    Raises:
        ValueError: the port is none.
    """
    parts = urlsplit(f"{scheme}://{netloc}")
    if parts.port == {"http": 80, "https": 443}.get(scheme):
        return netloc.lower().rpartition(":")[0]
    return netloc.lower()

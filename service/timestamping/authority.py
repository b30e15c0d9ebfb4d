"""An authority of somebody else's, asked by HTTP (RFC 3161, 3.4).

Guaranteed: nothing is sent but hashes, to the configured address alone; redirects are refused; an
answer is complete and within its limits; a stamp is over what was asked, answers this very query,
tells about the time that it is now, and leads to a configured root, with every certificate but the
root in it, as notation wants it.
"""

from __future__ import annotations

import secrets
import ssl
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from hashlib import sha256
from math import ceil
from threading import Event, Lock
from typing import Final
from urllib.parse import urlsplit

import urllib3

from service.domain import bounded
from service.domain.clock import Clock
from service.domain.errors import ServiceError, TimestampUnavailableError
from service.domain.media_types import TIMESTAMP_QUERY, TIMESTAMP_REPLY
from service.domain.signing import Timestamp
from service.formats import rfc3161
from service.timestamping.config import AuthorityConfig
from service.verification.stamp_tokens import MAX_STAMP_BYTES, StampInvalidError, token_in
from service.verification.stamps import TrustedAuthority, check_stamp

CONNECTIONS: Final = 8  # at once, of one process: public authorities ask for restraint
MAX_CLOCK_DIFFERENCE: Final = timedelta(minutes=5)  # one of us is wrong then, and proves nothing
USER_AGENT: Final = "sealwright/0.1"
_NONCE_BITS: Final = 64
_GOOD: Final = (200, 201)  # sigstore's authority creates


class ExternalAuthority:
    """`service.ports.timestamps.TimestampAuthority`. Thread-safe.

    `_lock` guards `_pool`, which is made at its first use: nothing is open when a process forks.
    """

    def __init__(self, config: AuthorityConfig, clock: Clock) -> None:
        self._config: Final = config
        self._clock: Final = clock
        self._trusted: Final = TrustedAuthority(config.name, config.roots)
        parts = urlsplit(config.url)
        self._path: Final = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._lock: Final = Lock()
        self._pool: urllib3.HTTPConnectionPool | None = None

    @property
    def name(self) -> str:
        return self._config.name

    def stamp(
        self, messages: Sequence[bytes], *, seconds: float
    ) -> Sequence[Timestamp | ServiceError]:
        deadline = self._clock.monotonic() + seconds
        gone = Event()
        one = partial(self._one, deadline=deadline, gone=gone)
        if len(messages) <= 1:
            return [one(message) for message in messages]
        with ThreadPoolExecutor(min(len(messages), CONNECTIONS)) as threads:
            return list(threads.map(one, messages))

    def _one(self, message: bytes, *, deadline: float, gone: Event) -> Timestamp | ServiceError:
        """`gone` is set by the first who got no answer: the others of a batch do not ask then."""
        if gone.is_set():
            return TimestampUnavailableError("it gave no answer")
        nonce = secrets.randbits(_NONCE_BITS)
        query = rfc3161.query(sha256(message).digest(), nonce=nonce)
        try:
            reply = self._asked(query, deadline)
        except _NoAnswerError as error:
            gone.set()
            return TimestampUnavailableError(str(error))
        try:
            stamp = check_stamp(token_in(reply), message, [self._trusted], nonce=nonce)
        except StampInvalidError as error:
            return TimestampUnavailableError(str(error))
        if abs(stamp.told - self._clock.now()) > MAX_CLOCK_DIFFERENCE:
            return TimestampUnavailableError(f"it tells another time than ours: {stamp.told}")
        return Timestamp(self.name, stamp.told, reply)

    def _asked(self, query: bytes, deadline: float) -> bytes:
        """Return the body of a good answer. Raises _NoAnswerError."""
        until = min(deadline, self._clock.monotonic() + self._config.timeout_seconds)
        left = until - self._clock.monotonic()
        if left <= 0:
            raise _NoAnswerError("the time is up")
        try:
            response = self._connections().urlopen(
                "POST",
                self._path,
                body=query,
                headers={
                    "Content-Type": TIMESTAMP_QUERY,
                    "Accept": TIMESTAMP_REPLY,
                    "Accept-Encoding": "identity",
                    "User-Agent": USER_AGENT,
                },
                retries=False,
                redirect=False,
                timeout=urllib3.Timeout(connect=left, read=left),
                pool_timeout=ceil(left),
                preload_content=False,
                decode_content=False,
            )
            try:
                body = bounded.read(response, most=MAX_STAMP_BYTES, until=until, clock=self._clock)
            finally:
                # Returns the connection if the answer was read to its end, else ends it.
                if response.closed:
                    response.release_conn()
                else:
                    response.close()
        except bounded.Unbounded as error:
            raise _NoAnswerError(f"it {error}") from error
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            # ValueError: http.client and urllib3 raise its kinds for headers that are none.
            raise _NoAnswerError(f"no complete answer ({type(error).__name__})") from error
        if response.status not in _GOOD:
            # Redirects among them: they would lead to somebody whom nobody has named.
            raise _NoAnswerError(f"it answered {response.status}")
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind != TIMESTAMP_REPLY:
            raise _NoAnswerError(f"it answered with {kind[:60] or 'no type'}")
        return body

    def _connections(self) -> urllib3.HTTPConnectionPool:
        with self._lock:
            if self._pool is None:
                self._pool = self._new_pool()
            return self._pool

    def _new_pool(self) -> urllib3.HTTPConnectionPool:
        parts = urlsplit(self._config.url)
        host = parts.hostname or ""
        if parts.scheme == "http":
            return urllib3.HTTPConnectionPool(host, parts.port, maxsize=CONNECTIONS, block=True)
        context = ssl.create_default_context()
        if self._config.ca_file is not None:
            context.load_verify_locations(self._config.ca_file)
        return urllib3.HTTPSConnectionPool(
            host, parts.port, maxsize=CONNECTIONS, block=True, ssl_context=context
        )


class _NoAnswerError(Exception):
    """There is no answer that could hold a stamp."""

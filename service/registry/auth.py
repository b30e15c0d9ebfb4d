"""Authorization at one registry: Basic, or bearer tokens by the distribution token flow.

Follows distribution's auth/token and auth/oauth specifications and the challenges of RFC
9110, 11.3. Scopes are our own (`repository:PATH:pull` or `pull,push`), never the challenge's,
so that no registry can have a token made out for more than we meant to do. A token service
is asked only if it is the registry itself or listed under `token_hosts`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Final
from urllib.parse import urlencode

from service.domain.clock import Clock
from service.domain.errors import RegistryDeniedError, RegistryUnavailableError
from service.registry.answers import Answer
from service.registry.config import RegistryConfig
from service.registry.credentials import IdentityToken, Login, Password, login_for
from service.registry.transport import Transport

DEFAULT_TOKEN_SECONDS: Final = 60.0  # distribution, auth/token: where expires_in is missing
EXPIRY_SLACK_SECONDS: Final = 10.0  # a token must outlive the request that carries it
LOGIN_SECONDS: Final = 300.0  # a helper is a process: not one for each request
MAX_TOKEN_BYTES: Final = 64 * 1024
MAX_TOKENS: Final = 10_000  # one a repository and access; more are forgotten all at once
_CHALLENGE = re.compile(r"""(?:^|,)\s*(?P<scheme>[A-Za-z]+)(?:\s+(?=[A-Za-z_-]+\s*=)|\s*(?=,|$))""")
_SAFE_TOKEN = re.compile(r"[!-~]+")
_PARAMETER = re.compile(r"""([A-Za-z_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))""")


@dataclass(frozen=True, slots=True)
class _Token:
    header: str = field(repr=False)
    expires: float


class Authorizer:
    """Knows what to send along, and learns it from the registry's challenges.

    `_lock` guards the three fields below it: the last login read, the tokens by scope, and
    whether the registry wants Basic. Token services are asked outside the lock; two threads
    may so fetch the same token, which harms nobody.
    """

    def __init__(self, config: RegistryConfig, transport: Transport, clock: Clock) -> None:
        self._config = config
        self._transport = transport
        self._clock = clock
        self._lock = Lock()
        self._login: tuple[Login | None, float] | None = None
        self._tokens: dict[str, _Token] = {}
        self._basic: str | None = None

    def header(self, scope: str) -> str | None:
        """Return what is known to work for this scope, without asking anybody."""
        with self._lock:
            token = self._tokens.get(scope)
            if token is not None and token.expires > self._clock.monotonic():
                return token.header
            return self._basic

    def answer(
        self, refused: Answer, scope: str, sent: str | None, *, deadline: float | None
    ) -> str | None:
        """Return what to send after this 401, or None if there is nothing better than `sent`.

        Raises:
            RegistryUnavailableError, RegistryDeniedError: the token service or the source of
                the login gave nothing.
        """
        with self._lock:
            self._tokens.pop(scope, None)
            self._basic = None
            if sent is not None:
                self._login = None  # what was sent is refused: the file may have changed
        challenges = parse_challenges(refused.headers.get("www-authenticate", ""))
        if "bearer" in challenges:
            token = self._fetch(challenges["bearer"], scope, deadline=deadline)
            with self._lock:
                if len(self._tokens) >= MAX_TOKENS:
                    self._tokens.clear()
                self._tokens[scope] = token
            return token.header
        login = self._current_login()
        if "basic" not in challenges or not isinstance(login, Password):
            return None
        header = login.basic()
        with self._lock:
            self._basic = header
        return header if header != sent else None

    def _current_login(self) -> Login | None:
        now = self._clock.monotonic()
        with self._lock:
            if self._login is not None and now < self._login[1]:
                return self._login[0]
        login = login_for(self._config)
        with self._lock:
            self._login = (login, now + LOGIN_SECONDS)
        return login

    def _fetch(self, challenge: Mapping[str, str], scope: str, *, deadline: float | None) -> _Token:
        realm = self._realm(challenge.get("realm", ""))
        login = self._current_login()
        wanted = {"service": challenge["service"]} if "service" in challenge else {}
        if scope:
            wanted["scope"] = scope
        asked = self._clock.monotonic()
        if isinstance(login, IdentityToken):
            form = {
                **wanted,
                "grant_type": "refresh_token",
                "refresh_token": login.secret,
                "client_id": "sealwright",
            }
            answer = self._transport.send(
                "POST",
                realm,
                headers={"Content-Type": "application/x-www-form-urlencoded"},
                body=urlencode(form).encode(),
                max_bytes=MAX_TOKEN_BYTES,
                deadline=deadline,
            )
        else:
            headers = {} if login is None else {"Authorization": login.basic()}
            url = f"{realm}{'&' if '?' in realm else '?'}{urlencode(wanted)}"
            answer = self._transport.send(
                "GET", url, headers=headers, max_bytes=MAX_TOKEN_BYTES, deadline=deadline
            )
        return self._token(answer, asked)

    def _token(self, answer: Answer, asked: float) -> _Token:
        name = f"the token service of {self._config.host}"
        if 400 <= answer.status < 500 and answer.status not in (404, 408, 429):  # noqa: PLR2004 - RFC 9110, 15.5
            with self._lock:
                self._login = None
            raise RegistryDeniedError(f"{name} answered {answer.status}")
        if answer.status != 200:  # noqa: PLR2004 - OK
            raise answer.refusal(
                f"a request for a token ({name})", now=self._clock.now(), writing=False
            )
        try:
            document = json.loads(answer.content)
            text = _SAFE_TOKEN.fullmatch(document.get("token") or document["access_token"])
            seconds = float(document.get("expires_in") or DEFAULT_TOKEN_SECONDS)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise RegistryUnavailableError(f"{name} answered nonsense") from error
        if text is None:
            raise RegistryUnavailableError(f"{name} answered a token that no header can carry")
        return _Token(f"Bearer {text[0]}", asked + seconds - EXPIRY_SLACK_SECONDS)

    def _realm(self, realm: str) -> str:
        """Return the realm's URL if it may be asked."""
        found = self._transport.token_url(realm)
        if found is None:
            raise RegistryUnavailableError(
                f"{self._config.host} sends for tokens to a host that is not in its token_hosts"
            )
        return found


def parse_challenges(header: str) -> Mapping[str, Mapping[str, str]]:
    """Return the parameters of each challenge by its scheme, names in lower case."""
    starts = list(_CHALLENGE.finditer(_masked(header)))
    ends = [*(start.start() for start in starts), len(header)][1:]
    # From the last to the first, so that of two with one scheme the first one counts.
    return {
        start["scheme"].lower(): {
            name.lower(): re.sub(r"\\(.)", r"\1", quoted) or bare
            for name, quoted, bare in _PARAMETER.findall(header[start.end() : end])
        }
        for start, end in reversed(list(zip(starts, ends, strict=False)))
    }


def _masked(header: str) -> str:
    """Blank out quoted text, keeping its length: a comma in it separates nothing."""
    return re.sub(r'"(?:[^"\\]|\\.)*"', lambda m: '"' + "_" * (len(m[0]) - 2) + '"', header)

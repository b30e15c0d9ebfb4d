"""`pkcs11:` URIs of private keys (RFC 7512): read strictly, written in one form.

Taken is what names a token and an object in it and still does so tomorrow: slot numbers and
descriptions change whenever a module likes. What is not understood is refused, because
a name of which a part is overlooked may fit another key. The PIN and the module are matters
of configuration, so a URI with a query is refused; a PIN in one would stand in every log.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Self

SCHEME: Final = "pkcs11:"
MAX_URI_CHARS: Final = 2048  # every attribute at its longest, percent-encoded, has room in it

# RFC 7512, 2.3: pk11-pchar, that is unreserved, pk11-res-avail and "&", or a percent-encoding.
_VALUE: Final = re.compile(r"(?:[A-Za-z0-9._~:\[\]@!$'()*+,=&-]|%[0-9A-Fa-f]{2})*")
_ENCODED: Final = re.compile(rb"%([0-9A-Fa-f]{2})")
_PLAIN: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_TOKEN: Final = ("token", "serial", "manufacturer", "model")
_FLEETING: Final = frozenset(
    {
        "slot-id",
        "slot-description",
        "slot-manufacturer",
        "library-description",
        "library-manufacturer",
        "library-version",
    }
)


class URIError(ValueError):
    """The text names no private key; the message says why, and quotes no values."""


@dataclass(frozen=True, slots=True)
class KeyURI:
    """Names one private key. At least one of `token` and `serial`, and of `id` and `object`."""

    token: str | None = None
    serial: str | None = None
    manufacturer: str | None = None
    model: str | None = None
    object: str | None = None
    id: bytes | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a URI.

        Raises:
            URIError
        """
        if len(text) > MAX_URI_CHARS:
            raise URIError(f"longer than {MAX_URI_CHARS} characters")
        # RFC 3986, 3.1: schemes have no case.
        if text[: len(SCHEME)].lower() != SCHEME:
            raise URIError(f"does not begin with {SCHEME}")
        path, asks, _ = text[len(SCHEME) :].partition("?")
        if asks:
            raise URIError("has a query: PIN and module are configured, never named in a URI")
        values = _attributes(path)
        kind = _text(values, "type")
        if kind not in (None, "private"):
            raise URIError("type: only `private` can be meant")
        uri = cls(
            **{name: _text(values, name) for name in _TOKEN},
            object=_text(values, "object"),
            id=values.get("id"),
        )
        if not (uri.token or uri.serial):
            raise URIError("names no token: give `token` or `serial`")
        if not (uri.id or uri.object):
            raise URIError("names no object: give `id` or `object`")
        return uri

    def __str__(self) -> str:
        named = [(name, getattr(self, name)) for name in (*_TOKEN, "object")]
        parts = [f"{name}={_encode(value)}" for name, value in named if value is not None]
        if self.id is not None:
            # RFC 7512, 2.3: all of it should be percent-encoded.
            parts.append("id=" + "".join(f"%{octet:02X}" for octet in self.id))
        return f"{SCHEME}{';'.join(parts)};type=private"


def _attributes(path: str) -> dict[str, bytes]:
    values: dict[str, bytes] = {}
    for attribute in path.split(";"):
        name, equals, value = attribute.partition("=")
        if name in _FLEETING:
            raise URIError(f"{name}: may name another token tomorrow; use `token` and `serial`")
        if name not in {*_TOKEN, "object", "id", "type"}:
            raise URIError("has an attribute that is unknown, empty or not a name")
        if name in values:
            raise URIError(f"{name}: stands there twice")
        if not equals or not _VALUE.fullmatch(value):
            raise URIError(f"{name}: not a percent-encoded value")
        decoded = _ENCODED.sub(lambda match: bytes.fromhex(match[1].decode()), value.encode())
        if not decoded:
            raise URIError(f"{name}: empty")
        values[name] = decoded
    return values


def _text(values: dict[str, bytes], name: str) -> str | None:
    value = values.get(name)
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        raise URIError(f"{name}: not UTF-8") from None


def _encode(value: str) -> str:
    return "".join(chr(o) if o in _PLAIN else f"%{o:02X}" for o in value.encode())

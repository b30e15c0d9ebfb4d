"""Reads sigstore's trusted root strictly: logs, certificate authorities, CT logs, time stampers.

Each counts only within `validFor`, a closed interval whose start is mandatory (protobuf-specs,
TimeRange): an instance that does not say since when it is good is good for nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any, Final
from urllib.parse import urlsplit

from cryptography import x509

from service.formats import strictjson
from service.verification.bundles import BundleMalformedError, decode, fits
from service.verification.sigstore.keys import VerifyingKey
from service.verification.sigstore.reasons import Refusal, RefusedError

MEDIA_TYPES: Final = frozenset(
    {
        "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
        "application/vnd.dev.sigstore.trustedroot.v0.2+json",
    }
)
MAX_ROOT_BYTES: Final = 4 * 1024 * 1024  # the public one has 7 KiB
_PUBLIC: Final = ("_store", "https%3A%2F%2Ftuf-repo-cdn.sigstore.dev", "trusted_root.json")
_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)")

_BETWEEN: Final = {"start": None, "end": None}
_LOG: Final = {
    "baseUrl": None,
    "hashAlgorithm": None,
    "publicKey": {"rawBytes": None, "keyDetails": None, "validFor": _BETWEEN},
    "logId": {"keyId": None},
    "checkpointKeyId": {"keyId": None},
    "operator": None,
}
_AUTHORITY: Final = {
    "subject": {"organization": None, "commonName": None},
    "uri": None,
    "certChain": {"certificates": [{"rawBytes": None}]},
    "validFor": _BETWEEN,
    "operator": None,
}
_SHAPE: Final = {
    "mediaType": None,
    "tlogs": [_LOG],
    "certificateAuthorities": [_AUTHORITY],
    "ctlogs": [_LOG],
    "timestampAuthorities": [_AUTHORITY],
}


@dataclass(frozen=True, slots=True)
class Between:
    start: datetime
    end: datetime | None

    def covers(self, moment: datetime) -> bool:
        return self.start <= moment and (self.end is None or moment <= self.end)


@dataclass(frozen=True, slots=True)
class Log:
    """A log that is trusted. `hint` begins the lines that it signs checkpoints with."""

    host: str
    log_id: bytes
    hint: bytes
    key: VerifyingKey
    valid: Between


@dataclass(frozen=True, slots=True)
class Authority:
    """A chain that is trusted; of time stampers the first is usually the leaf."""

    chain: tuple[x509.Certificate, ...]
    valid: Between


@dataclass(frozen=True, slots=True)
class TrustedRoot:
    """`content` is the document itself, for the library's own reading."""

    content: bytes
    logs: tuple[Log, ...]
    authorities: tuple[Authority, ...]
    ct_logs: tuple[Log, ...]
    time_stampers: tuple[Authority, ...]


def parse_root(content: bytes) -> TrustedRoot:
    """Read a trusted root. Raises RefusedError (`trusted-root-malformed`)."""
    try:
        root = strictjson.load(content)
        fits(root, _SHAPE, "the trusted root")
        if root is None or root.get("mediaType") not in MEDIA_TYPES:
            raise BundleMalformedError("the trusted root is of no known version")
        return TrustedRoot(
            content,
            tuple(_log(one) for one in root.get("tlogs") or []),
            tuple(_authority(one) for one in root.get("certificateAuthorities") or []),
            tuple(_log(one) for one in root.get("ctlogs") or []),
            tuple(_authority(one) for one in root.get("timestampAuthorities") or []),
        )
    except (ValueError, x509.InvalidVersion) as error:
        raise RefusedError(Refusal.TRUSTED_ROOT_MALFORMED, str(error)) from error


def public_root() -> TrustedRoot:
    """Return the root of sigstore's public instance, as sigstore-python ships it."""
    return parse_root(files("sigstore").joinpath(*_PUBLIC).read_bytes())


def _log(log: Mapping[str, Any]) -> Log:
    key = log.get("publicKey") or {}
    log_id = decode((log.get("logId") or {}).get("keyId"))
    named = (log.get("checkpointKeyId") or {}).get("keyId")
    return Log(
        urlsplit(str(log.get("baseUrl") or "")).netloc,
        log_id,
        (log_id if named is None else decode(named))[:4],
        VerifyingKey.parse(decode(key.get("rawBytes"))),
        _between(key.get("validFor")),
    )


def _authority(authority: Mapping[str, Any]) -> Authority:
    listed = (authority.get("certChain") or {}).get("certificates") or []
    if not listed:
        raise BundleMalformedError("an authority of the trusted root has no certificate")
    chain = tuple(x509.load_der_x509_certificate(decode(one.get("rawBytes"))) for one in listed)
    for certificate in chain:
        _ = certificate.extensions  # read here, so that a broken one is found here
    return Authority(chain, _between(authority.get("validFor")))


def _between(between: Mapping[str, Any] | None) -> Between:
    told = between or {}
    if told.get("start") is None:
        raise BundleMalformedError("an instance of the trusted root does not say since when")
    end = told.get("end")
    return Between(_moment(told["start"]), None if end is None else _moment(end))


def _moment(value: Any) -> datetime:
    """Read a protobuf timestamp in JSON, whose fractions of a second have up to nine digits."""
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise BundleMalformedError("a time of the trusted root cannot be read")
    whole, fraction, zone = found.groups()
    moment = datetime.fromisoformat(whole + ("+00:00" if zone == "Z" else zone))
    return moment.astimezone(UTC).replace(microsecond=int((fraction or "0").ljust(6, "0")[:6]))

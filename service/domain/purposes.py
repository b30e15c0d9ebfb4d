"""Keys and versions that were asked for their purpose; to hold one is the proof.

Purposes never mix: cosign takes any attestation by a key for a signature by it, and a log key
that signs images could sign a tree that nobody knows of. So what signs images takes an
`ImageVersion`, what attests an `AttestationVersion`, what signs for the log a `LogVersion`, what
certifies a `CAVersion`, what stamps time a `TimestampVersion`, and mypy refuses to confuse them.
There is no way to either but the functions of this module; another purpose gets types of its own.
"""

from __future__ import annotations

from typing import NewType

from service.domain.errors import KeyNotUsableError
from service.domain.keys import Key, KeyVersion, Purpose

ImageKey = NewType("ImageKey", Key)
ImageVersion = NewType("ImageVersion", KeyVersion)
LogVersion = NewType("LogVersion", KeyVersion)
AttestationKey = NewType("AttestationKey", Key)
AttestationVersion = NewType("AttestationVersion", KeyVersion)
CAVersion = NewType("CAVersion", KeyVersion)
TimestampVersion = NewType("TimestampVersion", KeyVersion)


def image_key(key: Key) -> ImageKey:
    """Raises KeyNotUsableError unless the key is for images."""
    return ImageKey(_checked(key, Purpose.IMAGE))


def image_versions(key: ImageKey) -> tuple[ImageVersion, ...]:
    """Return the active versions.

    Raises:
        KeyNotUsableError: none is active.
    """
    return tuple(ImageVersion(version) for version in _active(key))


def attestation_key(key: Key) -> AttestationKey:
    """Raises KeyNotUsableError unless the key is for attestations."""
    return AttestationKey(_checked(key, Purpose.ATTESTATION))


def attestation_versions(key: AttestationKey) -> tuple[AttestationVersion, ...]:
    """Return the active versions.

    Raises:
        KeyNotUsableError: none is active.
    """
    return tuple(AttestationVersion(version) for version in _active(key))


def log_versions(key: Key) -> tuple[LogVersion, ...]:
    """Return the active versions of a log key.

    Raises:
        KeyNotUsableError: the key is for something else, or no version is active.
    """
    return tuple(LogVersion(version) for version in _active(_checked(key, Purpose.LOG)))


def timestamp_versions(key: Key) -> tuple[TimestampVersion, ...]:
    """Return the active versions of a timestamp key, newest last.

    Raises:
        KeyNotUsableError: the key is for something else, or no version is active.
    """
    return tuple(TimestampVersion(v) for v in _active(_checked(key, Purpose.TIMESTAMP)))


def ca_version(key: Key) -> CAVersion:
    """Return the newest active version of our own CA's key.

    Raises:
        KeyNotUsableError: the key is for something else, or no version is active.
    """
    return CAVersion(_active(_checked(key, Purpose.CA))[-1])


def _checked(key: Key, purpose: Purpose) -> Key:
    if key.purpose is not purpose:
        raise KeyNotUsableError(f"{key.name} is a key for {key.purpose}, not for {purpose}")
    return key


def _active(key: Key) -> tuple[KeyVersion, ...]:
    found = key.active()
    if not found:
        raise KeyNotUsableError(f"no version of {key.name} is active")
    return found

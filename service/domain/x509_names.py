"""Subjects as `cryptography` knows them. A module of its own, because the command line must not
pay for that library whenever it names a key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from service.domain.errors import InvalidRequestError
from service.domain.subjects import TYPES, Subject

MAX_SUBJECT_CHARS: Final = 1024  # some ten attributes of at most 64 characters (X.520)

OIDS: Final = MappingProxyType(
    {
        "C": NameOID.COUNTRY_NAME,
        "ST": NameOID.STATE_OR_PROVINCE_NAME,
        "L": NameOID.LOCALITY_NAME,
        "STREET": NameOID.STREET_ADDRESS,
        "POSTALCODE": NameOID.POSTAL_CODE,
        "O": NameOID.ORGANIZATION_NAME,
        "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
        "SERIALNUMBER": NameOID.SERIAL_NUMBER,
        "CN": NameOID.COMMON_NAME,
    }
)
"""Of `TYPES`; a test holds the table complete."""

_COUNTRY: Final = re.compile(r"[A-Z]{2}")
_NAME_OF: Final = MappingProxyType({oid.dotted_string: name for name, oid in OIDS.items()})
_OID_OF: Final = MappingProxyType({"S": OIDS["ST"], "SN": NameOID.SURNAME, **OIDS})


def parse_subject(text: str) -> Subject:
    """Parse what RFC 4514 says of names: `CN=release 3,O=Example,ST=Bern,C=CH`.

    Raises:
        InvalidRequestError: it is none, or no certificate can be asked for with it.
    """
    if len(text) > MAX_SUBJECT_CHARS:
        raise _refused(f"more than {MAX_SUBJECT_CHARS} characters")
    try:
        name = x509.Name.from_rfc4514_string(text, dict(_OID_OF))
    except ValueError as error:
        raise _refused(f"not a name as RFC 4514 writes it: {error}") from error
    return _checked(subject_from(name).attributes)


def subject_of(attributes: Mapping[str, str]) -> Subject:
    """Make a subject of attributes by their names in `TYPES`, in our order.

    Raises:
        InvalidRequestError: one is unknown or has a value that it cannot have.
    """
    unknown = attributes.keys() - OIDS.keys()
    if unknown:
        raise _refused(f"unknown attributes {', '.join(sorted(unknown))}")
    return _checked([(name, attributes[name]) for name in TYPES if name in attributes])


def subject_from(name: x509.Name) -> Subject:
    """Take what a certificate says, whatever it is."""
    return Subject(
        tuple(
            (_NAME_OF.get(each.oid.dotted_string, each.oid.dotted_string), _text(each.value))
            for each in name
        )
    )


def name_of(subject: Subject) -> x509.Name:
    """Return a subject that is to be certified as the builders want it."""
    return x509.Name([x509.NameAttribute(OIDS[name], value) for name, value in subject.attributes])


def _checked(attributes: Sequence[tuple[str, str]]) -> Subject:
    """Return the subject if a certificate can be asked for with it."""
    if not attributes:
        raise _refused("it is empty")
    names = [name for name, _ in attributes]
    if len(set(names)) != len(names):
        raise _refused("it names an attribute twice")
    unknown = [name for name in names if name not in OIDS]
    if unknown:
        known = ", ".join(TYPES)
        raise _refused(f"{unknown[0]} is none of the attributes that notation matches: {known}")
    for name, value in attributes:
        if name == "C" and not _COUNTRY.fullmatch(value):
            raise _refused("C: not two capital letters, as ISO 3166 has them")
        try:
            x509.NameAttribute(OIDS[name], value)
        except ValueError as error:
            raise _refused(f"{name}: {error}") from error
        if not value.isprintable() or value != value.strip():
            raise _refused(f"{name}: control characters, or spaces at an end")
    return Subject(tuple(attributes))


def _refused(why: str) -> InvalidRequestError:
    return InvalidRequestError(f"the subject cannot be used: {why}", errors={"subject": [why]})


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.hex()

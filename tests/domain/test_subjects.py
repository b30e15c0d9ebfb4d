from __future__ import annotations

import contextlib

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from service.domain.errors import InvalidRequestError
from service.domain.subjects import TYPES, Subject
from service.domain.x509_names import (
    MAX_SUBJECT_CHARS,
    OIDS,
    name_of,
    parse_subject,
    subject_from,
    subject_of,
)

FULL = {"C": "CH", "ST": "Bern", "O": "Example", "CN": "release 1"}


def test_a_name_is_read_as_rfc_4514_writes_it() -> None:
    subject = parse_subject("CN=release 1,O=Example,ST=Bern,C=CH")
    assert subject == subject_of(FULL)
    assert subject.text() == "CN=release 1,O=Example,ST=Bern,C=CH"
    assert (subject.get("O"), subject.get("OU")) == ("Example", None)
    assert subject.faults() == ()


def test_every_type_has_its_oid() -> None:
    assert tuple(OIDS) == TYPES


def test_the_order_of_the_certificate_is_ours_whatever_the_order_of_the_fields() -> None:
    assert subject_of(dict(reversed(FULL.items()))) == subject_of(FULL)
    assert [name for name, _ in subject_of(FULL).attributes] == ["C", "ST", "O", "CN"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("release 1", "RFC 4514"),
        ("CN=", "RFC 4514"),
        ("C=CHE,CN=a", "RFC 4514"),
        ("CN=" + "x" * 65, "RFC 4514"),
        ("CN=" + "x" * MAX_SUBJECT_CHARS, "characters"),
        ("CN=a,CN=b", "twice"),
        ("CN=a+CN=b", "twice"),
        ("DC=example,CN=a", "none of the attributes"),
        ("SN=Lovelace,CN=a", "none of the attributes"),
        ("1.2.3.4=a", "none of the attributes"),
        ("C=ch", "ISO 3166"),
        ("C=1!", "ISO 3166"),
        ("CN=a\\00b", "control characters"),
        ("CN=\\ a", "spaces"),
    ],
)
def test_a_subject_that_cannot_be_asked_for_is_refused(text: str, said: str) -> None:
    with pytest.raises(InvalidRequestError, match=said) as refused:
        parse_subject(text)
    assert "subject" in refused.value.errors


@pytest.mark.parametrize(
    "fields", [{}, {"CN": ""}, {"C": "CHE"}, {"C": "1!"}, {"C": "ch"}, {"DC": "a"}, {"CN": "a\n"}]
)
def test_fields_that_make_no_subject_are_refused(fields: dict[str, str]) -> None:
    with pytest.raises(InvalidRequestError):
        subject_of(fields)


def test_a_subject_that_trusted_identities_cannot_match_says_why() -> None:
    def faults(*attributes: tuple[str, str]) -> str:
        return "; ".join(Subject(attributes).faults())

    assert "no C" in faults(("ST", "Bern"), ("O", "x"))
    assert "more than one OU" in faults(*FULL.items(), ("OU", "a"), ("OU", "b"))
    assert "1.2.3.4" in faults(*FULL.items(), ("1.2.3.4", "a"))
    assert "=#" in faults(*FULL.items(), ("OU", "a=#b"))
    assert faults(*FULL.items(), ("OU", "#b")) == ""


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("plain", "plain"),
        ('a,b+c"d<e>f;g=h\\', 'a\\,b\\+c\\"d\\<e\\>f\\;g\\=h\\\\'),
        ("#hash", "\\#hash"),
        (" lead", "\\ lead"),
        ("trail ", "trail\\ "),
        (" ", "\\ "),
        ("nul\0", "nul\\00"),
    ],
)
def test_what_a_certificate_says_is_shown_as_rfc_4514_writes_it(value: str, written: str) -> None:
    assert Subject((("CN", value),)).text() == f"CN={written}"


def test_a_subject_covers_another_that_has_nothing_more() -> None:
    one, other = subject_of(FULL), subject_of({**FULL, "CN": "release 2"})
    assert one.covers(one)
    assert not one.covers(other)
    more = subject_of({**FULL, "OU": "team"})
    assert more.covers(one)
    assert not one.covers(more)
    assert subject_of({**FULL, "O": "  EXAMPLE"[2:]}).covers(one)


values = st.text(
    st.characters(categories=("L", "N", "P", "S", "Zs"), exclude_characters="\0"), max_size=20
).filter(lambda text: text.strip() == text and text.isprintable() and text)


@given(
    st.dictionaries(
        st.sampled_from([n for n in TYPES if n not in ("C", "SERIALNUMBER")]), values, min_size=1
    )
)
def test_a_subject_survives_its_text_and_its_certificate_form(fields: dict[str, str]) -> None:
    subject = subject_of({"C": "CH", **fields})
    assert subject_from(name_of(subject)) == subject
    assert parse_subject(subject.text()) == subject
    assert x509.Name.from_rfc4514_string(
        subject.text(), {"POSTALCODE": NameOID.POSTAL_CODE}
    ) == name_of(subject)


@given(st.sampled_from(TYPES), st.text(max_size=10))
def test_what_is_a_subject_can_be_written_into_a_certificate(name: str, value: str) -> None:
    with contextlib.suppress(InvalidRequestError):
        assert name_of(subject_of({name: value})).public_bytes()


@given(st.text(max_size=40))
def test_any_text_is_a_subject_or_an_invalid_request(text: str) -> None:
    with contextlib.suppress(InvalidRequestError):
        assert name_of(parse_subject(text)).public_bytes()

"""RFC 7512 URIs: what is not wholly understood is refused, and what is written is read again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsm.uri import MAX_URI_CHARS, KeyURI, URIError


def test_the_uri_that_other_tools_print_is_read() -> None:
    # p11tool --list-privkeys of SoftHSM.
    printed = (
        "pkcs11:model=SoftHSM%20v2;manufacturer=SoftHSM%20project;serial=2a1b3c4d5e6f7081;"
        "token=release%20keys;id=%00%FF%3b;object=old%3Bkey;type=private"
    )
    assert KeyURI.parse(printed) == KeyURI(
        token="release keys",
        serial="2a1b3c4d5e6f7081",
        manufacturer="SoftHSM project",
        model="SoftHSM v2",
        object="old;key",
        id=b"\x00\xff;",
    )


def test_little_is_enough_and_characters_that_need_no_encoding_stand_as_they_are() -> None:
    assert KeyURI.parse("pkcs11:serial=1;id=abc") == KeyURI(serial="1", id=b"abc")
    assert KeyURI.parse("PKCS11:object=a&b:c=d;token=t") == KeyURI(token="t", object="a&b:c=d")
    assert KeyURI.parse("pkcs11:token=%C3%A9;object=k").token == "é"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "does not begin"),
        ("http:token=t;id=%01", "does not begin"),
        ("pkcs11:", "unknown, empty"),
        ("pkcs11:id=%01", "names no token"),
        ("pkcs11:manufacturer=m;model=m;id=%01", "names no token"),
        ("pkcs11:token=t", "names no object"),
        ("pkcs11:token=t;type=private", "names no object"),
        ("pkcs11:token=t;id=%01;id=%01", "id: stands there twice"),
        ("pkcs11:token=t;id=%01;x-vendor=1", "unknown"),
        ("pkcs11:token=t;id=%01;Token=t", "unknown"),
        ("pkcs11:token=t;;id=%01", "unknown, empty"),
        ("pkcs11:token=t;id=%01;", "unknown, empty"),
        ("pkcs11:token;id=%01", "token: not a percent-encoded value"),
        ("pkcs11:token=;id=%01", "token: empty"),
        ("pkcs11:token=t;id=%0", "id: not a percent-encoded value"),
        ("pkcs11:token=t;id=%0g", "id: not a percent-encoded value"),
        ("pkcs11:token=a b;id=%01", "token: not a percent-encoded value"),
        ("pkcs11:token=é;id=%01", "token: not a percent-encoded value"),
        ("pkcs11:token=t;id=%01\n", "id: not a percent-encoded value"),
        ("pkcs11:token=t;id=%01#f", "id: not a percent-encoded value"),
        ("pkcs11:token=t;id=a/b", "id: not a percent-encoded value"),
        ("pkcs11:token=%FF;id=%01", "token: not UTF-8"),
        ("pkcs11:token=t;id=%01;type=public", "only `private`"),
        ("pkcs11:token=t;id=%01;type=cert", "only `private`"),
        ("pkcs11:slot-id=1;token=t;id=%01", "slot-id: may name another"),
        ("pkcs11:library-version=3;token=t;id=%01", "library-version: may name another"),
        ("pkcs11:token=t;id=%01?", "has a query"),
        ("pkcs11:token=t;id=%01?module-path=/x.so", "has a query"),
        ("pkcs11:token=t;id=" + "%01" * MAX_URI_CHARS, "longer than"),
    ],
)
def test_what_does_not_name_one_key_for_good_is_refused(text: str, why: str) -> None:
    with pytest.raises(URIError, match=why):
        KeyURI.parse(text)


def test_a_pin_in_a_uri_is_not_repeated() -> None:
    with pytest.raises(URIError) as caught:
        KeyURI.parse("pkcs11:token=t;id=%01?pin-value=secret-4711")
    assert "4711" not in str(caught.value)


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(
    uri=st.builds(
        KeyURI,
        token=texts,
        serial=texts | st.none(),
        manufacturer=texts | st.none(),
        model=texts | st.none(),
        object=texts,
        id=st.binary(min_size=1, max_size=40) | st.none(),
    )
)
def test_what_is_written_is_read_again(uri: KeyURI) -> None:
    assert KeyURI.parse(str(uri)) == uri


@given(text=st.text() | st.from_regex(r"\Apkcs11:[a-z=;%0-9?]*\Z"))
def test_no_text_does_anything_but_be_read_or_refused(text: str) -> None:
    try:
        read = KeyURI.parse(text)
    except URIError:
        return
    assert KeyURI.parse(str(read)) == read

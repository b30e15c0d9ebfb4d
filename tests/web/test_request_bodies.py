from __future__ import annotations

import http.client
import io
import json
from contextlib import closing
from urllib.parse import urlsplit

import orjson
import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from service.domain.errors import MalformedBodyError
from service.domain.limits import MAX_BODY_BYTES
from service.web.bodies import body_hash, parse_object
from tests.support.edge import IMAGE, Listening

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), inner, max_size=3)
    ),
    max_leaves=10,
)
OBJECTS = st.dictionaries(
    st.text(st.characters(codec="utf-8"), max_size=5), JSON_VALUES, max_size=4
)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="truncated"),
        pytest.param(b"[]", id="list"),
        pytest.param(b'"x"', id="string"),
        pytest.param(b"null", id="null"),
        pytest.param(b'{"a": NaN}', id="nan"),
        pytest.param(b'{"a": Infinity}', id="infinity"),
        pytest.param(b'{"a": 1} {}', id="two-values"),
        pytest.param(b'{"a": 1, "a": 2}', id="duplicate-name"),
        pytest.param(b'{"a": 1, "\\u0061": 2}', id="duplicate-name-escaped"),
        pytest.param(b'{"x": [{"a": 1, "a": 1}]}', id="duplicate-name-inside"),
        pytest.param(b'{"a": "\\ud800"}', id="lone-surrogate"),
        pytest.param(b'{"a": "\xff"}', id="not-utf-8"),
        pytest.param(b"\xef\xbb\xbf{}", id="byte-order-mark"),
        pytest.param(b'{"a": ' + b"[" * 5000 + b"]" * 5000 + b"}", id="deep"),
        pytest.param(b'{"a": ' + b'{"a": ' * 1000 + b"1" + b"}" * 1001, id="less-deep"),
        pytest.param(b'{"a": 1e999}', id="overflowing-number"),
    ],
)
def test_a_body_that_is_not_one_strict_json_object_is_refused(
    raw: bytes, web: FlaskClient, builder: dict[str, str]
) -> None:
    with pytest.raises(MalformedBodyError):
        parse_object(raw)
    answer = web.post("/v1/signatures", data=raw, headers=builder, content_type="application/json")
    assert (answer.status_code, answer.json["code"]) == (400, "malformed-body")


@given(OBJECTS)
def test_every_strict_json_object_is_read_as_it_is(value: dict[str, object]) -> None:
    assert parse_object(orjson.dumps(value)) == value


@given(OBJECTS)
def test_spacing_and_order_are_no_difference_to_the_hash_of_a_body(
    value: dict[str, object],
) -> None:
    backwards = dict(reversed(value.items()))
    respaced = json.dumps(backwards, indent=3).encode()
    assert body_hash(parse_object(respaced)) == body_hash(value)


def test_another_value_is_a_difference_to_the_hash_of_a_body() -> None:
    assert body_hash({"a": 1}) != body_hash({"a": 2})
    assert body_hash({"a": [1, 2]}) != body_hash({"a": [2, 1]})


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_a_body_of_another_type_is_refused(
    web: FlaskClient, builder: dict[str, str], content_type: str
) -> None:
    raw = json.dumps({"images": [{"reference": IMAGE}]})
    answer = web.post("/v1/signatures", data=raw, headers=builder, content_type=content_type)
    assert (answer.status_code, answer.json["code"]) == (415, "unsupported-media-type")


def test_a_charset_beside_the_right_type_is_accepted(
    web: FlaskClient, builder: dict[str, str]
) -> None:
    raw = json.dumps({"images": [{"reference": IMAGE}]})
    content_type = "application/json; charset=utf-8"
    answer = web.post("/v1/signatures", data=raw, headers=builder, content_type=content_type)
    assert answer.status_code == 201


class Untouchable(io.RawIOBase):
    """A body that fails the test if a byte of it is read; it tells only how long it is."""

    position = 0

    def tell(self) -> int:
        return self.position

    def seek(self, offset: int, whence: int = 0) -> int:
        self.position = MAX_BODY_BYTES + 1 if whence == io.SEEK_END else offset
        return self.position

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        raise AssertionError("the body was read")


def test_a_body_announced_too_large_is_refused_before_a_byte_is_read(
    web: FlaskClient, builder: dict[str, str]
) -> None:
    answer = web.post(
        "/v1/signatures",
        input_stream=Untouchable(),
        headers=builder,
        content_type="application/json",
    )
    assert (answer.status_code, answer.json["code"]) == (413, "body-too-large")


@pytest.mark.parametrize(("size", "status"), [(MAX_BODY_BYTES, 422), (MAX_BODY_BYTES + 1, 413)])
def test_a_body_of_unannounced_length_is_read_up_to_the_limit(
    listening: Listening, builder: dict[str, str], size: int, status: int
) -> None:
    host = urlsplit(listening.url).netloc
    chunk = b" " * (1024 * 1024)
    body = [b"{}", *[chunk] * (size // len(chunk) - 1), b" " * (len(chunk) - 2 + size % len(chunk))]
    assert sum(map(len, body)) == size
    connection = http.client.HTTPConnection(host, timeout=60)
    with closing(connection):
        headers = {**builder, "Content-Type": "application/json"}
        connection.request(
            "POST", "/v1/signatures", body=iter(body), headers=headers, encode_chunked=True
        )
        assert connection.getresponse().status == status

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import ValidationError

from service.domain.limits import MAX_IMAGES_PER_SIGNING, MAX_ITEM_ID_CHARS
from service.web.schemas.images import ImageSchema, ImagesField, _plain

REFERENCE = "registry.example.com/app"
VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just("x" * 300)
ITEMS = (
    st.dictionaries(st.sampled_from(["reference", "id", "identity", "other"]), VALUES)
    | st.fixed_dictionaries({"reference": st.text(max_size=9)}, optional={"id": VALUES})
    | VALUES
)


@given(ITEMS)
def test_the_short_way_accepts_nothing_that_the_schema_would_not_read_the_same(item: Any) -> None:
    by_hand = _plain(item)
    if by_hand is not None:
        assert by_hand == ImageSchema().load(item)


def test_the_short_way_takes_the_common_items() -> None:
    assert _plain({"reference": REFERENCE}) is not None
    assert _plain({"reference": REFERENCE, "id": "build-42/app"}) is not None


@given(st.lists(ITEMS, min_size=1, max_size=4))
def test_a_list_is_read_if_each_item_is_and_names_each_that_is_not(items: list[Any]) -> None:
    bad = set()
    for index, item in enumerate(items):
        try:
            ImageSchema().load(item)
        except ValidationError:
            bad.add(index)
    if bad:
        with pytest.raises(ValidationError) as refused:
            ImagesField().deserialize(items)
        assert isinstance(refused.value.messages, dict)
        assert set(refused.value.messages) == bad
    else:
        assert len(ImagesField().deserialize(items)) == len(items)


@pytest.mark.parametrize(
    "item",
    [
        pytest.param({}, id="no-reference"),
        pytest.param({"reference": None}, id="null-reference"),
        pytest.param({"reference": REFERENCE, "tag": "x"}, id="unknown-field"),
        pytest.param({"reference": REFERENCE, "id": ""}, id="empty-id"),
        pytest.param({"reference": REFERENCE, "id": "a\nb"}, id="newline-in-id"),
        pytest.param({"reference": REFERENCE, "id": "a\x00"}, id="nul-in-id"),
        pytest.param({"reference": REFERENCE, "id": "x" * (MAX_ITEM_ID_CHARS + 1)}, id="long-id"),
        pytest.param({"reference": REFERENCE, "descriptor": {"size": 1}}, id="half-descriptor"),
        pytest.param(
            {"reference": REFERENCE, "descriptor": {"media_type": "a/b", "size": True}},
            id="boolean-size",
        ),
        pytest.param(
            {"reference": REFERENCE, "descriptor": {"media_type": "a/b", "size": "1"}},
            id="text-size",
        ),
        pytest.param(
            {"reference": REFERENCE, "descriptor": {"media_type": "a/b", "size": 0}},
            id="empty-manifest",
        ),
    ],
)
def test_an_item_of_the_wrong_shape_is_refused(item: object) -> None:
    with pytest.raises(ValidationError):
        ImagesField().deserialize([item])


def test_an_item_with_everything_is_read_whole() -> None:
    item = {
        "reference": REFERENCE,
        "id": "42",
        "identity": "example.com/app",
        "descriptor": {"media_type": "application/vnd.oci.image.index.v1+json", "size": 7},
    }
    [image] = ImagesField().deserialize([item])
    assert image.unverified_descriptor == ("application/vnd.oci.image.index.v1+json", 7)
    assert (image.item_id, image.identity) == ("42", "example.com/app")


def test_one_to_a_thousand_images_are_one_request() -> None:
    most = [{"reference": REFERENCE}] * MAX_IMAGES_PER_SIGNING
    assert len(ImagesField().deserialize(most)) == MAX_IMAGES_PER_SIGNING
    for wrong in ([], [*most, {"reference": REFERENCE}], {}, "x", None):
        with pytest.raises(ValidationError):
            ImagesField(allow_none=False).deserialize(wrong)

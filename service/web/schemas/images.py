"""The items of a signing request: `images`, 1 to 1,000 of them.

What is wrong with one image (a reference that cannot be read, a digest that is gone) is that
item's own error in the answer; what is wrong with the shape refuses the request.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from marshmallow import Schema, ValidationError, fields, post_load, validate

from service.domain.limits import (
    MAX_IDENTITY_CHARS,
    MAX_IMAGES_PER_SIGNING,
    MAX_ITEM_ID_CHARS,
)
from service.domain.signing import ImageToSign
from service.web.schemas.fields import about, text

MAX_MEDIA_TYPE_CHARS: Final = 255  # RFC 6838, 4.2: 127 for each half and the slash


class DescriptorSchema(Schema):
    media_type = text("Media type of the manifest.", most=MAX_MEDIA_TYPE_CHARS, required=True)
    size = fields.Integer(
        strict=True,
        required=True,
        validate=validate.Range(1, 2**53 - 1),
        metadata=about("Size of the manifest in bytes."),
    )


class ImageSchema(Schema):
    reference = fields.String(
        required=True,
        metadata=about(
            "`host/repository[:tag][@sha256:…]`: a repository with a digest or a tag. A tag that "
            "points elsewhere than the digest given is an error."
        ),
    )
    id = text("The caller's own name for the item, echoed back.", most=MAX_ITEM_ID_CHARS)
    identity = text(
        "The name that the signature claims; checked by policy. Default: host/repository.",
        most=MAX_IDENTITY_CHARS,
    )
    descriptor = fields.Nested(
        DescriptorSchema,
        metadata=about("With it, and `attach: false`, no registry is asked."),
    )

    @post_load
    def build(self, data: dict[str, Any], **kwargs: Any) -> ImageToSign:
        descriptor = data.get("descriptor")
        return ImageToSign(
            unverified_reference=data["reference"],
            item_id=data.get("id"),
            identity=data.get("identity"),
            unverified_descriptor=(descriptor["media_type"], descriptor["size"])
            if descriptor
            else None,
        )


_PLAIN: Final = frozenset({"reference", "id"})


class ImagesField(fields.List[ImageToSign]):
    """As a list of ImageSchema, with a short way for the common item.

    marshmallow takes 18 µs for an item, a tenth of what signing it costs. An item of a
    reference and perhaps an id is accepted by hand; the schema decides about every other,
    and words what is wrong with it. A test holds the two against each other.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            fields.Nested(ImageSchema),
            validate=validate.Length(1, MAX_IMAGES_PER_SIGNING),
            **kwargs,
        )
        self._schema = ImageSchema()

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> list[Any]:
        if not isinstance(value, list):
            raise self.make_error("invalid")
        if len(value) > MAX_IMAGES_PER_SIGNING:
            # Counted before the items are looked at: the body may hold half a million.
            raise ValidationError(f"More than {MAX_IMAGES_PER_SIGNING} images.")
        images: list[ImageToSign] = []
        faults: dict[int, Any] = {}
        for index, item in enumerate(value):
            try:
                images.append(_plain(item) or self._schema.load(item))
            except ValidationError as error:
                faults[index] = error.messages
        if faults:
            raise ValidationError(faults)
        return images


def _plain(item: Any) -> ImageToSign | None:
    """Return the item if it is of the common shape; None if the schema has to look at it."""
    if type(item) is not dict or not item.keys() <= _PLAIN:
        return None
    reference = item.get("reference")
    if type(reference) is not str:
        return None
    if "id" not in item:
        return ImageToSign(reference)
    item_id = item["id"]
    if type(item_id) is not str or not 1 <= len(item_id) <= MAX_ITEM_ID_CHARS:
        return None
    return ImageToSign(reference, item_id) if item_id.isprintable() else None

"""The transparency logs."""

from __future__ import annotations

from typing import Final

from marshmallow import Schema, fields, validate

from service.web.schemas.fields import Count, about

MAX_SIZE: Final = 999_999_999  # what `Count` reads


class InclusionQuery(Schema):
    index = Count(
        required=True,
        validate=validate.Range(0, MAX_SIZE),
        metadata=about("Position of the entry."),
    )
    tree_size = Count(
        validate=validate.Range(1, MAX_SIZE),
        metadata=about("Size of the tree; that of the newest checkpoint if left out."),
    )


class CheckpointQuery(Schema):
    cosigned = fields.Boolean(
        load_default=False,
        metadata=about("Rather the newest that a witness has cosigned, older though it may be."),
    )


class ConsistencyQuery(Schema):
    old = Count(
        required=True,
        data_key="from",
        validate=validate.Range(1, MAX_SIZE),
        metadata=about("Size of the older tree."),
    )
    new = Count(
        data_key="to",
        validate=validate.Range(1, MAX_SIZE),
        metadata=about("Size of the newer tree; that of the newest checkpoint if left out."),
    )


def _hashes(text: str) -> fields.List[str]:
    return fields.List(fields.String(), required=True, metadata=about(text))


class InclusionSchema(Schema):
    index = fields.Integer(required=True, metadata=about("Position of the entry."))
    tree_size = fields.Integer(required=True, metadata=about("Size of the tree."))
    leaf_hash = fields.String(required=True, metadata=about("The leaf's hash, in base64."))
    root = fields.String(required=True, metadata=about("Root of the tree, in base64."))
    hashes = _hashes("The proof (RFC 9162, 2.1.3), in base64, from the leaf to the root.")


class ConsistencySchema(Schema):
    old = fields.Integer(required=True, data_key="from", metadata=about("Size of the older tree."))
    new = fields.Integer(required=True, data_key="to", metadata=about("Size of the newer tree."))
    from_root = fields.String(required=True, metadata=about("Root of the older tree, in base64."))
    to_root = fields.String(required=True, metadata=about("Root of the newer tree, in base64."))
    hashes = _hashes("The proof (RFC 9162, 2.1.4), in base64.")

"""Trust files."""

from __future__ import annotations

from marshmallow import Schema, fields

from service.web.schemas.fields import about


class TrustedRootSchema(Schema):
    """`trusted_root.json`, as sigstore's protobuf-specs describe it."""

    media_type = fields.String(
        required=True, data_key="mediaType", metadata=about("Names the form of the file.")
    )
    tlogs = fields.List(
        fields.Dict(keys=fields.String()), required=True, metadata=about("Keys of the logs.")
    )
    certificate_authorities = fields.List(
        fields.Dict(keys=fields.String()),
        required=True,
        data_key="certificateAuthorities",
        metadata=about("None: our keys need no certificate here."),
    )
    ctlogs = fields.List(
        fields.Dict(keys=fields.String()), required=True, metadata=about("None, as above.")
    )
    timestamp_authorities = fields.List(
        fields.Dict(keys=fields.String()),
        required=True,
        data_key="timestampAuthorities",
        metadata=about("Authorities of timestamps."),
    )

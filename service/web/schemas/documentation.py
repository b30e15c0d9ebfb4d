"""The shape of the API's own description."""

from __future__ import annotations

from marshmallow import Schema, fields

from service.web.schemas.fields import about


class OpenAPISchema(Schema):
    openapi = fields.String(required=True, metadata=about("Version of the OpenAPI specification."))
    info = fields.Dict(required=True, metadata=about("Title and version."))
    paths = fields.Dict(required=True, metadata=about("Every path."))
    security = fields.List(
        fields.Dict(), required=True, metadata=about("What calls need unless they say otherwise.")
    )
    tags = fields.List(fields.Dict(), required=True, metadata=about("The resources."))
    components = fields.Dict(required=True, metadata=about("Schemas, by name."))

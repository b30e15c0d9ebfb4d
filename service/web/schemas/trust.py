"""Trust files: what their own specifications say is repeated here as far as we write it."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from service.web.schemas.fields import about, name

MAX_URL_CHARS = 512
URL_PATTERN = r"^https?://[A-Za-z0-9.\[\]:_-]+(/[A-Za-z0-9._~/-]*)?\Z"


class TrustQuery(Schema):
    key = name("This key instead of every key of purpose `image`.")


class TrustExportQuery(TrustQuery):
    url = fields.String(
        validate=[validate.Length(1, MAX_URL_CHARS), validate.Regexp(URL_PATTERN)],
        metadata=about("How consumers reach this service; default: as this request did."),
    )


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


class NotationPolicySchema(Schema):
    """`trustpolicy.json`, as the Notary Project describes it."""

    version = fields.String(required=True, metadata=about("Of the form of the file."))
    trust_policies = fields.List(
        fields.Dict(keys=fields.String()),
        required=True,
        data_key="trustPolicies",
        metadata=about("One: it names the subjects of the trusted versions, and no other."),
    )


class ContainersPolicySchema(Schema):
    """`policy.json`, as containers-policy.json(5) describes it."""

    default = fields.List(
        fields.Dict(keys=fields.String()),
        required=True,
        metadata=about("Everything that is not in our registries is refused."),
    )
    transports = fields.Dict(
        keys=fields.String(), required=True, metadata=about("What our registries need.")
    )


class ClusterPolicySchema(Schema):
    """A policy of a cluster, as the tool that its `kind` and `apiVersion` name describes it."""

    api_version = fields.String(
        required=True, data_key="apiVersion", metadata=about("Of the form of the policy.")
    )
    kind = fields.String(required=True, metadata=about("Of the policy."))
    metadata = fields.Dict(
        keys=fields.String(), required=True, metadata=about("Its name in the cluster.")
    )
    spec = fields.Dict(
        keys=fields.String(), required=True, metadata=about("Which images, and which keys.")
    )


class TrustFileSchema(Schema):
    path = fields.String(required=True, metadata=about("Where it lies in the directory."))
    content = fields.String(required=True, metadata=about("Its bytes in base64."))


class TrustExportSchema(Schema):
    files = fields.List(
        fields.Nested(TrustFileSchema), required=True, metadata=about("Every file of an export.")
    )

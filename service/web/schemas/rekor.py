"""Rekor's documents. They are sigstore's; what we take of them is parsed by `service.formats`."""

from __future__ import annotations

from marshmallow import Schema, fields

from service.web.schemas.fields import about


class ProposedEntrySchema(Schema):
    """A `hashedrekord` or `dsse` of version 0.0.1."""

    apiVersion = fields.String(required=True, metadata=about("`0.0.1`."))  # noqa: N815 - sigstore's
    kind = fields.String(required=True, metadata=about("`hashedrekord` or `dsse`."))
    spec = fields.Dict(
        keys=fields.String(), required=True, metadata=about("As Rekor's own API describes it.")
    )


class ProposedEntryV2Schema(Schema):
    hashedRekordRequestV002 = fields.Dict(  # noqa: N815 - sigstore's
        keys=fields.String(), required=True, metadata=about("As Rekor v2's own API describes it.")
    )


class EntriesSchema(Schema):
    """An object of one member: the entry by its UUID."""


class TransparencyLogEntrySchema(Schema):
    """sigstore's `TransparencyLogEntry`."""

    logIndex = fields.String(required=True, metadata=about("Position in the log."))  # noqa: N815
    logId = fields.Dict(required=True, metadata=about("Names the log's key."))  # noqa: N815
    kindVersion = fields.Dict(required=True, metadata=about("What entry it is."))  # noqa: N815
    integratedTime = fields.String(metadata=about("For entries of v1."))  # noqa: N815
    canonicalizedBody = fields.String(  # noqa: N815
        required=True, metadata=about("The leaf's exact bytes, in base64.")
    )
    inclusionProof = fields.Dict(  # noqa: N815
        required=True, metadata=about("Proof of inclusion, and the checkpoint.")
    )

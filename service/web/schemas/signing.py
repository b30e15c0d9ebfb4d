"""`POST /v1/signatures`, and signatures on record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from marshmallow import Schema, ValidationError, fields, post_load, validate

from service.domain.limits import (
    MAX_ANNOTATION_KEY_CHARS,
    MAX_ANNOTATION_VALUE_CHARS,
    MAX_ANNOTATIONS,
    MAX_REFERENCE_CHARS,
)
from service.domain.references import Repository
from service.domain.signing import (
    RESERVED_ANNOTATION_PREFIX,
    AttachmentState,
    SigningRequest,
)
from service.ports.store import SignatureFilter
from service.web.schemas.common import PageQuery, PageSchema
from service.web.schemas.fields import (
    DIGEST_PATTERN,
    DigestField,
    Moment,
    StrictBoolean,
    about,
    name,
    printable,
    text,
    unique,
)
from service.web.schemas.images import ImagesField

MAX_FORMATS: Final = 8  # twice what the contract names
MAX_FORMAT_CHARS: Final = 32
OUTCOME_UNKNOWN: Final = "outcome-unknown"


@dataclass(frozen=True, slots=True)
class WantedSignatures:
    request: SigningRequest
    any_failure_fails: bool


def _own_name(key: str) -> None:
    printable(key)
    if key.startswith(RESERVED_ANNOTATION_PREFIX):
        raise ValidationError(f"Names beginning {RESERVED_ANNOTATION_PREFIX} are the service's.")


def _without_nul(value: str) -> None:
    if "\x00" in value:
        raise ValidationError("Must not hold NUL.")


class SigningRequestSchema(Schema):
    images = ImagesField(required=True, metadata=about("What to sign, 1 to 1,000 images."))
    key = name("Which key signs; optional where policy leaves one choice.")
    formats = fields.List(
        fields.String(validate=[validate.Length(1, MAX_FORMAT_CHARS), printable]),
        validate=[validate.Length(1, MAX_FORMATS), unique("format")],
        metadata=about(
            "`cosign` and `bundle` are known, and are the default: cosign 3 looks at no `.sig` "
            "signature where an image carries anybody's bundle."
        ),
    )
    annotations = fields.Dict(
        keys=fields.String(validate=[validate.Length(1, MAX_ANNOTATION_KEY_CHARS), _own_name]),
        values=fields.String(
            validate=[validate.Length(0, MAX_ANNOTATION_VALUE_CHARS), _without_nul]
        ),
        validate=validate.Length(0, MAX_ANNOTATIONS),
        load_default=dict,
        metadata=about(
            f"Signed with each image. Names beginning `{RESERVED_ANNOTATION_PREFIX}` are refused."
        ),
    )
    recursive = StrictBoolean(
        load_default=False, metadata=about("Sign an index and every manifest in it.")
    )
    attach = StrictBoolean(
        load_default=True, metadata=about("Attach the signatures at the registry.")
    )
    force = StrictBoolean(
        load_default=False,
        metadata=about("Make a new signature even where one stands for the same statement."),
    )
    promises = StrictBoolean(
        load_default=False,
        metadata=about(
            "With `attach: false`: let `.sig` artifacts carry the log's promise, as those do that "
            "the service attaches. Each costs a signature by the log's key."
        ),
    )
    on_failure = fields.String(
        load_default="report",
        validate=validate.OneOf(["report", "error"]),
        metadata=about("With `error` any failure gives 422 or 503, so that `curl --fail` fails."),
    )

    @post_load
    def build(self, data: dict[str, Any], **kwargs: Any) -> WantedSignatures:
        formats = data.get("formats")
        request = SigningRequest(
            images=tuple(data["images"]),
            key=data.get("key"),
            formats=None if formats is None else tuple(formats),
            annotations=data["annotations"],
            recursive=data["recursive"],
            attach=data["attach"],
            force=data["force"],
            promises=data["promises"],
        )
        return WantedSignatures(request, data["on_failure"] == "error")


class AttachmentSchema(Schema):
    state = fields.String(
        required=True,
        validate=validate.OneOf([*AttachmentState]),
        metadata=about("`pending` is a success; `failed` means parked by the outbox."),
    )
    digest = fields.String(
        required=True,
        allow_none=True,
        metadata=about("Digest of the manifest that holds the signature."),
    )
    media_type = fields.String(
        required=True, allow_none=True, metadata=about("Media type of that manifest.")
    )


class ContentSchema(Schema):
    media_type = fields.String(required=True, metadata=about("Its media type."))
    digest = fields.String(required=True, metadata=about("Its digest."))
    size = fields.Integer(required=True, metadata=about("Its size in bytes."))


class InlineContentSchema(ContentSchema):
    content = fields.String(required=True, metadata=about("The exact bytes to push, in base64."))


class InlineBlobSchema(Schema):
    digest = fields.String(required=True, metadata=about("Its digest."))
    size = fields.Integer(required=True, metadata=about("Its size in bytes."))
    content = fields.String(required=True, metadata=about("The exact bytes to push, in base64."))


class ArtifactSchema(Schema):
    manifest = fields.Nested(
        InlineContentSchema,
        required=True,
        allow_none=True,
        metadata=about(
            "Push this last, under `tag` if given. Null for OpenPGP: the blob is a file for a "
            "lookaside of your own."
        ),
    )
    blobs = fields.List(
        fields.Nested(InlineBlobSchema), required=True, metadata=about("Push these first.")
    )
    tag = fields.String(
        required=True, allow_none=True, metadata=about("The tag to push the manifest under.")
    )
    subject = fields.Nested(
        ContentSchema,
        required=True,
        allow_none=True,
        metadata=about("The image that the manifest refers to, where the format says so."),
    )


class TimestampSchema(Schema):
    authority = fields.String(
        required=True, metadata=about("Who stamped: `own`, or the name that the settings give.")
    )
    at = fields.String(required=True, metadata=about("The time that the stamp tells."))
    reply = fields.String(
        required=True,
        metadata=about(
            "The TimeStampResp (RFC 3161), in base64. It is over the bytes of `signature`; for "
            "`notation` with an elliptic key over r and s side by side, as the envelope has them."
        ),
    )


class LogProofSchema(Schema):
    index = fields.Integer(required=True, metadata=about("Position of the entry in the log."))
    tree_size = fields.Integer(required=True, metadata=about("Size of the checkpoint's tree."))
    root = fields.String(required=True, metadata=about("Root of that tree, in base64."))
    hashes = fields.List(
        fields.String(),
        required=True,
        metadata=about("The proof of inclusion (RFC 9162, 2.1.3), in base64, leaf to root."),
    )
    checkpoint = fields.String(
        required=True, metadata=about("The signed head of that tree (C2SP tlog-checkpoint).")
    )
    entry = fields.String(required=True, metadata=about("The exact bytes of the leaf, in base64."))


class MadeSignatureSchema(Schema):
    id = fields.String(required=True, metadata=about("Identifies the signature."))
    format = fields.String(
        required=True, metadata=about("As in `cosign` or `bundle`; `attestation` is no signature.")
    )
    predicate_type = fields.String(metadata=about("Of an attestation: what its predicate is."))
    key = fields.String(required=True, metadata=about("Name of the key."))
    key_version = fields.Integer(required=True, metadata=about("Version of the key."))
    algorithm = fields.String(required=True, metadata=about("As in `ecdsa-p256-sha256`."))
    payload = fields.String(
        required=True,
        metadata=about(
            "The exact bytes signed, in base64; for `bundle` and `attestation` the in-toto statement."
        ),
    )
    signature = fields.String(required=True, metadata=about("The signature, in base64."))
    created_at = fields.DateTime(required=True, metadata=about("When it was first made."))
    artifact = fields.Nested(
        ArtifactSchema, metadata=about("With `attach: false`: what the caller pushes by itself.")
    )
    attachment = fields.Nested(
        AttachmentSchema, required=True, metadata=about("Whether it lies at the registry.")
    )
    log = fields.Nested(
        LogProofSchema,
        required=True,
        allow_none=True,
        metadata=about("Proof that it is in the log; null where there is none yet."),
    )
    timestamp = fields.Nested(
        TimestampSchema,
        required=True,
        allow_none=True,
        metadata=about("An authority's stamp over the signature; null where none is asked for."),
    )


class ItemErrorSchema(Schema):
    code = fields.String(required=True, metadata=about("Stable code; see `/problems/{code}`."))
    detail = fields.String(required=True, metadata=about("What happened."))
    status = fields.Integer(required=True, metadata=about("The status it would have alone."))
    retryable = fields.Boolean(required=True, metadata=about("Whether a retry may succeed."))


class SignedItemSchema(Schema):
    id = fields.String(
        required=True, allow_none=True, metadata=about("The caller's own name for the item.")
    )
    reference = fields.String(required=True, metadata=about("As the caller wrote it."))
    digest = fields.String(
        required=True, allow_none=True, metadata=about("What was signed; null if unresolved.")
    )
    signatures = fields.List(
        fields.Nested(MadeSignatureSchema),
        required=True,
        metadata=about("One for each format; empty where the item failed."),
    )
    children = fields.List(
        fields.Nested("ChildItemSchema"),
        required=True,
        metadata=about("With `recursive`: the manifests of the index, however deep, each once."),
    )
    error = fields.Nested(
        ItemErrorSchema, required=True, allow_none=True, metadata=about("Why the item failed.")
    )


class ChildItemSchema(SignedItemSchema):
    platform = fields.String(
        required=True, allow_none=True, metadata=about("As in `linux/arm64/v8`.")
    )


class SigningAnswerSchema(Schema):
    results = fields.List(
        fields.Nested(SignedItemSchema),
        required=True,
        metadata=about("In the order of the request."),
    )
    succeeded = fields.Integer(required=True, metadata=about("How many items succeeded."))
    failed = fields.Integer(required=True, metadata=about("How many failed, wholly or in part."))


class SignatureSchema(MadeSignatureSchema):
    class Meta:
        exclude = ("artifact",)

    repository = fields.String(
        required=True,
        allow_none=True,
        metadata=about("With the registry's host; null where a plug-in's payload names none."),
    )
    digest = fields.String(required=True, metadata=about("What was signed."))
    identity = fields.String(required=True, metadata=about("The name that it claims."))
    annotations = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        required=True,
        metadata=about("Signed with it."),
    )
    caller = fields.String(required=True, metadata=about("Id of the credential that asked."))


class UnknownOutcomeSchema(Schema):
    id = fields.String(required=True, metadata=about("Id of the intent."))
    state = fields.String(required=True, metadata=about("`outcome-unknown`."))
    format = fields.String(required=True, metadata=about("The format it was to have."))
    key = fields.String(required=True, metadata=about("Name of the key."))
    key_version = fields.Integer(required=True, metadata=about("Version of the key."))
    repository = fields.String(
        required=True,
        allow_none=True,
        metadata=about("With the registry's host; null where a plug-in's payload names none."),
    )
    digest = fields.String(required=True, metadata=about("What was to be signed."))
    identity = fields.String(required=True, metadata=about("The name it was to claim."))
    caller = fields.String(required=True, metadata=about("Id of the credential that asked."))
    created_at = fields.DateTime(required=True, metadata=about("When the intent was committed."))


class SignaturePageSchema(PageSchema):
    items = fields.List(
        fields.Raw(
            metadata={
                "anyOf": [
                    {"$ref": "#/components/schemas/Signature"},
                    {"$ref": "#/components/schemas/UnknownOutcome"},
                ]
            }
        ),
        required=True,
        metadata=about("Signatures, or intents with `state=outcome-unknown`."),
    )


class RecordQuery(PageQuery):
    repository = text("`host/path`, exactly.", most=MAX_REFERENCE_CHARS)
    digest = DigestField(
        metadata={**about("Digest of the image."), "type": "string", "pattern": DIGEST_PATTERN}
    )
    key = name("Name of the key.")
    since = Moment(metadata=about("Only what was made at this time or later (RFC 3339)."))


class SignatureQuery(RecordQuery):
    state = fields.String(
        validate=validate.OneOf([OUTCOME_UNKNOWN]),
        metadata=about("`outcome-unknown` shows intents that have no outcome instead."),
    )


def wanted_records(query: dict[str, Any]) -> SignatureFilter:
    """Return the filter of a list. Raises InvalidReferenceError."""
    repository = query.get("repository")
    return SignatureFilter(
        repository=None if repository is None else str(Repository.parse(repository)),
        digest=query.get("digest"),
        key=query.get("key"),
        since=query.get("since"),
    )

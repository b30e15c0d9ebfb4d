"""`POST /v1/verifications`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from marshmallow import Schema, fields, post_load, validate

from service.domain.limits import MAX_IMAGES_PER_VERIFICATION
from service.domain.verdicts import ReasonCode, Verdict
from service.web.schemas.fields import StrictBoolean, about


@dataclass(frozen=True, slots=True)
class WantedVerdicts:
    references: tuple[str, ...]
    recursive: bool


class ImageToVerifySchema(Schema):
    reference = fields.String(
        required=True, metadata=about("`host/repository[:tag][@sha256:…]`, as to a client.")
    )


class VerificationRequestSchema(Schema):
    images = fields.List(
        fields.Nested(ImageToVerifySchema),
        required=True,
        validate=validate.Length(1, MAX_IMAGES_PER_VERIFICATION),
        metadata=about("What to verify, 1 to 100 images."),
    )
    recursive = StrictBoolean(
        load_default=False, metadata=about("Verify an index and every manifest in it.")
    )

    @post_load
    def build(self, data: dict[str, Any], **kwargs: Any) -> WantedVerdicts:
        return WantedVerdicts(
            tuple(image["reference"] for image in data["images"]), data["recursive"]
        )


class ReasonSchema(Schema):
    code = fields.String(
        required=True,
        validate=validate.OneOf([*ReasonCode]),
        metadata=about("Stable; branch on this."),
    )
    text = fields.String(required=True, metadata=about("The same in words."))
    retry_after = fields.Float(
        metadata=about("Seconds that the registry asked to wait, where it gave any.")
    )
    cure = fields.String(metadata=about("What to do, where that is more than to sign."))


class SignatureVerdictSchema(Schema):
    format = fields.String(required=True, metadata=about("As in `cosign` or `bundle`."))
    key = fields.String(
        required=True,
        allow_none=True,
        metadata=about("The key that made it: ours, or one that `policy` names."),
    )
    key_version = fields.Integer(
        required=True, allow_none=True, metadata=about("Version of that key.")
    )
    identity = fields.String(
        required=True, allow_none=True, metadata=about("The name that the signature claims.")
    )
    certificate_identity = fields.String(
        required=True,
        allow_none=True,
        metadata=about(
            "Whom the certificate is for, of a keyless or notation signature by others."
        ),
    )
    certificate_issuer = fields.String(
        required=True, allow_none=True, metadata=about("Who vouches for a keyless identity.")
    )
    policy = fields.String(
        required=True,
        allow_none=True,
        metadata=about("The trust policy that judged it; null where only our keys count."),
    )
    created_at = fields.DateTime(
        required=True, allow_none=True, metadata=about("When it was made, if our record tells.")
    )
    outcome = fields.String(
        required=True,
        validate=validate.OneOf(["verified", "rejected", "unknown"]),
        metadata=about("What this one signature is worth; `unknown`: it could not be read."),
    )
    reason = fields.Nested(ReasonSchema, required=True, metadata=about("Why."))


class AttestationVerdictSchema(Schema):
    predicate_type = fields.String(
        required=True, metadata=about("What its predicate is; believe it if `verified`.")
    )
    key = fields.String(
        required=True, allow_none=True, metadata=about("The key that made it, where it is ours.")
    )
    key_version = fields.Integer(
        required=True, allow_none=True, metadata=about("Version of that key.")
    )
    outcome = fields.String(
        required=True,
        validate=validate.OneOf(["verified", "rejected", "unknown"]),
        metadata=about(
            "`verified`: a key for attestations that is trusted made it; `unknown`: it could not "
            "be read, or is too large to be read here."
        ),
    )
    reason = fields.Nested(ReasonSchema, required=True, metadata=about("Why."))


class VerdictSchema(Schema):
    reference = fields.String(required=True, metadata=about("As the caller wrote it."))
    digest = fields.String(
        required=True, allow_none=True, metadata=about("What was verified; null if unresolved.")
    )
    verdict = fields.String(
        required=True,
        validate=validate.OneOf([*Verdict]),
        metadata=about(
            "`verified`: a signature of a trusted key stands. `rejected`: there are signatures "
            "and none stands. `unsigned`: every place answered and holds none. `unknown`: else."
        ),
    )
    reasons = fields.List(
        fields.Nested(ReasonSchema), required=True, metadata=about("Why, most important first.")
    )
    signatures = fields.List(
        fields.Nested(SignatureVerdictSchema),
        required=True,
        metadata=about("Each signature that was found."),
    )
    attestations = fields.List(
        fields.Nested(AttestationVerdictSchema),
        required=True,
        metadata=about("Each attestation that was found; none of them signs the image."),
    )
    warnings = fields.List(
        fields.Nested(ReasonSchema),
        required=True,
        metadata=about("What does not change the verdict and should be known."),
    )


class ChildVerdictSchema(VerdictSchema):
    platform = fields.String(
        required=True, allow_none=True, metadata=about("As in `linux/arm64/v8`.")
    )


class ImageVerdictSchema(VerdictSchema):
    n_of_n = fields.String(
        required=True,
        allow_none=True,
        metadata=about(
            "With `recursive`, of an index: how many of its manifests are verified, as in `2 of 3`."
        ),
    )
    children = fields.List(
        fields.Nested(ChildVerdictSchema),
        required=True,
        metadata=about("With `recursive`: the manifests of the index, each with its verdict."),
    )


class VerificationAnswerSchema(Schema):
    results = fields.List(
        fields.Nested(ImageVerdictSchema),
        required=True,
        metadata=about("In the order of `images`."),
    )

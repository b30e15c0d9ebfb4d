"""`POST /v1/attestations`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from marshmallow import Schema, ValidationError, fields, post_load, validate

from service.domain.attestations import (
    AttestationRequest,
    ImageToAttest,
    PredicateType,
    not_portable,
)
from service.domain.limits import MAX_ATTESTATIONS_PER_REQUEST, MAX_ITEM_ID_CHARS
from service.web.schemas.fields import StrictBoolean, about, name, text


@dataclass(frozen=True, slots=True)
class WantedAttestations:
    request: AttestationRequest
    any_failure_fails: bool


class PredicateTypeField(fields.Field[PredicateType]):
    """An absolute URI that is not the type of a signature."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> PredicateType:
        if not isinstance(value, str):
            raise ValidationError("Not an absolute URI.")
        try:
            return PredicateType.parse(value)
        except ValueError as error:
            raise ValidationError(str(error)) from error


class PredicateField(fields.Field[Mapping[str, Any]]):
    """A JSON object that every reader reads alike; what it means is asked later."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            raise ValidationError("Not an object.")
        fault = not_portable(value)
        if fault is not None:
            raise ValidationError(fault)
        return value


class AttestationSchema(Schema):
    image = fields.String(
        required=True,
        metadata=about("`host/repository[:tag][@sha256:…]`, as for signing."),
    )
    predicate_type = PredicateTypeField(
        required=True,
        metadata={
            **about(
                "URI of what the predicate is, such as `https://slsa.dev/provenance/v1`. Any may "
                "be named but that of cosign's signatures."
            ),
            "type": "string",
            "format": "uri",
        },
    )
    predicate = PredicateField(
        required=True,
        metadata={
            **about(
                "What is attested. SLSA provenance v1, SPDX, CycloneDX, cosign's vulnerability "
                "records and OpenVEX are checked; others are attested as they are."
            ),
            "type": "object",
            "additionalProperties": True,
        },
    )
    id = text("The caller's own name for the item, echoed back.", most=MAX_ITEM_ID_CHARS)

    @post_load
    def build(self, data: dict[str, Any], **kwargs: Any) -> ImageToAttest:
        return ImageToAttest(
            data["image"], data["predicate_type"], data["predicate"], data.get("id")
        )


class AttestationRequestSchema(Schema):
    attestations = fields.List(
        fields.Nested(AttestationSchema),
        required=True,
        validate=validate.Length(1, MAX_ATTESTATIONS_PER_REQUEST),
        metadata=about("What to attest of which image, 1 to 100."),
    )
    key = name("A key of purpose `attestation`; optional where policy leaves one choice.")
    attach = StrictBoolean(
        load_default=True, metadata=about("Attach the attestations at the registry.")
    )
    force = StrictBoolean(
        load_default=False,
        metadata=about("Make a new attestation even where one stands for the same statement."),
    )
    on_failure = fields.String(
        load_default="report",
        validate=validate.OneOf(["report", "error"]),
        metadata=about("With `error` any failure gives 422 or 503, so that `curl --fail` fails."),
    )

    @post_load
    def build(self, data: dict[str, Any], **kwargs: Any) -> WantedAttestations:
        request = AttestationRequest(
            attestations=tuple(data["attestations"]),
            key=data.get("key"),
            attach=data["attach"],
            force=data["force"],
        )
        return WantedAttestations(request, data["on_failure"] == "error")

"""Quorum rules."""

from __future__ import annotations

from marshmallow import Schema, fields

from service.web.schemas.fields import about


class QuorumRulesSchema(Schema):
    people = fields.Dict(
        required=True,
        keys=fields.String(),
        values=fields.Integer(),
        metadata=about("How many people an act needs; one, where it is not named."),
    )
    signed = fields.Boolean(
        required=True, metadata=about("Whether each approval must carry an SSH signature.")
    )
    expires_hours = fields.Integer(
        required=True, metadata=about("How long a request waits; follows the file.")
    )


class QuorumStatusSchema(Schema):
    in_force = fields.Nested(QuorumRulesSchema, required=True, metadata=about("What counts."))
    file = fields.Nested(
        QuorumRulesSchema, required=True, metadata=about("What the policy file says.")
    )
    guard = fields.Integer(
        required=True,
        metadata=about("How many people custodians' credentials and looser rules need; 0: none."),
    )
    looser = fields.List(
        fields.String(),
        required=True,
        metadata=about("Where the file asks for less, which has no effect until approved."),
    )
    custodians = fields.Integer(
        required=True, metadata=about("People with a custodian's credential that works.")
    )
    short = fields.Boolean(
        required=True, metadata=about("Whether they are fewer than some rule needs.")
    )
    without_spare = fields.Boolean(
        required=True, metadata=about("Whether the loss of one of them would make it so.")
    )

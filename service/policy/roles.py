"""What each role may do beside signing. An action that is not in the table is nobody's."""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import Final

from service.domain.callers import Caller, Role
from service.policy.decisions import Allow, Decision, Deny


class Action(StrEnum):
    VERIFY = "verify images"
    CREATE_KEY = "create keys"
    CHANGE_KEY = "change the state of keys"
    REISSUE = "have images signed again under another version of a key"
    SEE_REISSUES = "see what was signed again"
    CERTIFY_KEY = "change the certificates of keys"
    SEE_CUSTODY = "see where keys lie and what tokens say of them"
    SEE_SLOTS = "see slots and tokens"
    LOGIN = "try the PIN of a token again"
    APPROVE = "approve or reject what others ask for"
    SEE_APPROVALS = "see approvals"
    SEE_QUORUM = "see the quorum rules"
    LOOSEN_QUORUM = "ask for looser quorum rules"
    MANAGE_CREDENTIALS = "manage credentials"
    MAINTAIN = "stop signing for a while"
    SEE_OWN_RECORDS = "see the records of its own repositories"
    SEE_ALL_RECORDS = "see all records"
    OPERATE_OUTBOX = "retry deliveries"
    SEE_FINDINGS = "see findings"
    SEE_AUDIT = "see the audit log"


_ROLES: Final = MappingProxyType(
    {
        Action.VERIFY: frozenset(Role),
        Action.CREATE_KEY: frozenset({Role.CUSTODIAN}),
        Action.CHANGE_KEY: frozenset({Role.CUSTODIAN}),
        Action.REISSUE: frozenset({Role.CUSTODIAN}),
        Action.SEE_REISSUES: frozenset({Role.CUSTODIAN, Role.AUDITOR}),
        Action.CERTIFY_KEY: frozenset({Role.CUSTODIAN}),
        Action.SEE_CUSTODY: frozenset({Role.CUSTODIAN, Role.AUDITOR}),
        Action.SEE_SLOTS: frozenset({Role.CUSTODIAN, Role.AUDITOR}),
        Action.LOGIN: frozenset({Role.CUSTODIAN}),
        Action.APPROVE: frozenset({Role.CUSTODIAN}),
        Action.SEE_APPROVALS: frozenset({Role.CUSTODIAN, Role.AUDITOR, Role.ADMIN}),
        Action.SEE_QUORUM: frozenset({Role.CUSTODIAN, Role.AUDITOR, Role.ADMIN}),
        Action.LOOSEN_QUORUM: frozenset({Role.CUSTODIAN, Role.ADMIN}),
        Action.MANAGE_CREDENTIALS: frozenset({Role.ADMIN}),
        Action.MAINTAIN: frozenset({Role.ADMIN}),
        Action.SEE_OWN_RECORDS: frozenset({Role.BUILDER, Role.AUDITOR, Role.ADMIN}),
        Action.SEE_ALL_RECORDS: frozenset({Role.AUDITOR, Role.ADMIN}),
        Action.OPERATE_OUTBOX: frozenset({Role.BUILDER, Role.ADMIN}),
        Action.SEE_AUDIT: frozenset({Role.AUDITOR}),
        Action.SEE_FINDINGS: frozenset({Role.AUDITOR, Role.CUSTODIAN, Role.ADMIN}),
    }
)


def may(caller: Caller, action: Action) -> Decision:
    if caller.role in _ROLES.get(action, frozenset()):
        return Allow()
    return Deny((f"the role {caller.role} may not {action}",))

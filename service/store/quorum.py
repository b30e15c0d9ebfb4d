"""The quorum rules in force: every set there ever was, numbered; the last one counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import orjson
from sqlalchemy import Connection, select
from sqlalchemy.exc import IntegrityError

from service.domain.audit import AuditEvent
from service.domain.quorum import QuorumRules, rules_from_json, rules_to_json
from service.ports.approvals import RulesInForce
from service.store.audit import record
from service.store.database import Database
from service.store.rows import dump
from service.store.schema import quorum_rules
from service.store.sql import database_now

_LAST: Final = select(quorum_rules).order_by(quorum_rules.c.number.desc()).limit(1)


class StoredQuorumBook:
    def __init__(self, database: Database) -> None:
        self._database = database

    def in_force(self) -> RulesInForce:
        row = self._database.read(lambda connection: connection.execute(_LAST).one_or_none())
        if row is None:
            return RulesInForce(0, QuorumRules())
        content = orjson.loads(row.rules)
        return RulesInForce(row.number, rules_from_json(content), content.get("guard", 0))

    def replace(
        self,
        before: RulesInForce,
        rules: QuorumRules,
        *,
        guard: int,
        actor: str,
        details: Mapping[str, object],
    ) -> bool:
        content = {**rules_to_json(rules), "guard": guard}
        number = before.number + 1
        event = AuditEvent(
            "quorum.changed",
            actor,
            str(number),
            {**details, "before": rules_to_json(before.rules), "rules": content},
        )

        def run(connection: Connection) -> None:
            now = database_now(connection)
            # The number is the key: of two that follow the same rules, one is refused.
            connection.execute(
                quorum_rules.insert(),
                {"number": number, "rules": dump(content), "actor": actor, "at": now},
            )
            record(connection, [event], now=now)

        try:
            self._database.write(run)
        except IntegrityError:
            return False
        return True

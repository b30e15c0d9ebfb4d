"""Time stamps on record: the first of each signature stays, and nothing changes it."""

from __future__ import annotations

import orjson
import pytest
from sqlalchemy.exc import DBAPIError

from service.domain.signing import Timestamp
from service.store import Store
from tests.support.records import MOMENT, a_statement, an_intent, make_key, sign

FIRST, SECOND = (Timestamp(name, MOMENT, name.encode()) for name in ("first", "second"))


def stamped(store: Store) -> list[tuple[str, str]]:
    query = "SELECT body FROM audit_events ORDER BY seq"
    rows = store._database.read(lambda c: c.exec_driver_sql(query).scalars().all())
    events = [orjson.loads(row) for row in rows]
    return [
        (event["subject"], event["details"]["authority"])
        for event in events
        if event["action"] == "signature.timestamped"
    ]


def test_the_first_stamp_of_a_signature_stays(store: Store) -> None:
    make_key(store)
    intents = [an_intent(a_statement(n), item=n) for n in range(2)]
    one, other = (done.signature for done in sign(store, *intents))
    assert one is not None
    assert other is not None
    assert one.timestamp is None
    assert store.timestamps.keep({}) == {}
    assert store.timestamps.keep({one.id: FIRST}) == {one.id: FIRST}
    both = {one.id: SECOND, other.id: SECOND}
    assert store.timestamps.keep(both) == {one.id: FIRST, other.id: SECOND}
    assert stamped(store) == [(one.id, "first"), (other.id, "second")]
    found = store.outbox.attachment_states([one.id, other.id])
    assert {i: s.timestamp for i, s in found.items()} == {one.id: FIRST, other.id: SECOND}


@pytest.mark.parametrize(
    "statement", ["DELETE FROM timestamps", "UPDATE timestamps SET authority = 'other'"]
)
def test_a_stamp_is_never_changed(store: Store, statement: str) -> None:
    make_key(store)
    [done] = sign(store, an_intent())
    assert done.signature is not None
    store.timestamps.keep({done.signature.id: FIRST})
    with pytest.raises(DBAPIError, match="append-only"):
        store._database.write(lambda c: c.exec_driver_sql(statement).rowcount)
    found = store.journal.get(done.signature.id)
    assert found is not None
    assert found.timestamp == FIRST

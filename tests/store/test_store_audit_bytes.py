"""The exact bytes of the audit trail, against an encoder that knows nothing of frames."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from service.domain.audit import AuditEvent
from service.store.audit import frame, stamped

texts = st.text(max_size=20)
details = st.dictionaries(texts, texts | st.integers(-(2**53), 2**53) | st.none() | st.lists(texts))


@given(texts, texts, texts, details)
def test_an_event_is_json_with_sorted_names_and_no_spaces(
    action: str, actor: str, subject: str, told: dict[str, object]
) -> None:
    event = AuditEvent(action, actor, subject, told)
    body = stamped(frame(event), "2026-01-02T03:04:05.678Z")
    assert body.decode() == json.dumps(
        {
            "action": action,
            "actor": actor,
            "at": "2026-01-02T03:04:05.678Z",
            "details": told,
            "subject": subject,
        },
        sort_keys=True,
        ensure_ascii=False,
        separators=(",", ":"),
    )

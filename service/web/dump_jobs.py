"""Long jobs as JSON values."""

from __future__ import annotations

from service.domain.clock import rfc3339
from service.domain.jobs import Job
from service.web.dump import JSONObject
from service.web.signing_answer import item_error


def job(found: Job) -> JSONObject:
    progress = found.progress
    return {
        "id": found.id,
        "state": found.state,
        "progress": {
            "total": progress.total,
            "done": progress.done,
            "failed": progress.failed,
        },
        "created_at": rfc3339(found.created_at),
        "ended_at": None if found.ended_at is None else rfc3339(found.ended_at),
        "error": None if found.error is None else item_error(found.error),
    }

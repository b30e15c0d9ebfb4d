"""The signed list of withdrawals, for everybody."""

from __future__ import annotations

from flask import Response

from service.domain import errors
from service.domain.serving import ServerRole
from service.domain.withdrawals import published
from service.web.responses import answer
from service.web.routing import Call, Routes, in_json
from service.web.schemas.withdrawals import WithdrawalListSchema

routes = Routes("withdrawals", "What does not count any more.", role=ServerRole.VERIFY)


@routes.add(
    "GET",
    "/v1/withdrawals",
    summary="The signed list of compromised key versions",
    public=True,
    answers={200: in_json("The list, and the envelope that signs it.", WithdrawalListSchema)},
    errors=(errors.LogKeyMissingError, errors.HSMUnavailableError, errors.BusyError),
)
def show_withdrawals(call: Call) -> Response:
    body = published(call.operations.withdrawals.current())
    return answer(body, headers={"Cache-Control": "no-cache"})

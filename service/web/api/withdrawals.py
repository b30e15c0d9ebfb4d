"""The signed list of withdrawals, for everybody."""

from __future__ import annotations

import json
from binascii import b2a_base64

from flask import Response

from service.domain import errors
from service.domain.withdrawals import PAYLOAD_TYPE
from service.web.responses import answer
from service.web.routing import Call, Routes, in_json
from service.web.schemas.withdrawals import WithdrawalListSchema

routes = Routes("withdrawals", "What does not count any more.")


@routes.add(
    "GET",
    "/v1/withdrawals",
    summary="The signed list of compromised key versions",
    public=True,
    answers={200: in_json("The list, and the envelope that signs it.", WithdrawalListSchema)},
    errors=(errors.LogKeyMissingError, errors.HSMUnavailableError, errors.BusyError),
)
def show_withdrawals(call: Call) -> Response:
    issued = call.operations.withdrawals.current()
    envelope = {
        "payloadType": PAYLOAD_TYPE,
        "payload": _base64(issued.payload),
        "signatures": [{"keyid": issued.fingerprint, "sig": _base64(issued.signature)}],
    }
    # What is shown is read from the signed bytes, so that the two cannot differ.
    body = {**json.loads(issued.payload), "envelope": envelope}
    return answer(body, headers={"Cache-Control": "no-cache"})


def _base64(raw: bytes) -> str:
    return b2a_base64(raw, newline=False).decode("ascii")

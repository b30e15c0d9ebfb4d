"""Ready files for verifiers' own tools (public)."""

from __future__ import annotations

from flask import Response

from service.web.responses import answer
from service.web.routing import Call, Routes, in_json
from service.web.schemas.trust import TrustedRootSchema

routes = Routes("trust", "Ready files for verifiers' own tools.")

TRUSTED_ROOT = "application/vnd.dev.sigstore.trustedroot+json;version=0.1"


@routes.add(
    "GET",
    "/v1/trust/trusted-root",
    summary="sigstore's trusted root: the keys of the log (cosign verify --trusted-root)",
    public=True,
    answers={200: in_json("trusted_root.json.", TrustedRootSchema)},
)
def show_trusted_root(call: Call) -> Response:
    body = {
        "mediaType": TRUSTED_ROOT,
        "tlogs": call.operations.trusted_logs(),
        "certificateAuthorities": [],
        "ctlogs": [],
        "timestampAuthorities": [],
    }
    return answer(body, headers={"Cache-Control": "public, max-age=60"})

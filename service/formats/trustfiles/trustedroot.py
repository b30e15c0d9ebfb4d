"""sigstore's trusted root (protobuf-specs, `sigstore_trustroot.proto`).

cosign wants the media type exactly in this form, and refuses the file for any field that it
does not know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from service.domain.certificates import CertificateChain
from service.domain.clock import rfc3339
from service.domain.keys import KeyVersion
from service.translog.notes import base64_text
from service.translog.trustedroot import MEDIA_TYPE


def trusted_root(
    tlogs: Sequence[Mapping[str, Any]], authorities: Sequence[KeyVersion], *, url: str
) -> dict[str, Any]:
    """Return the document; `authorities` are versions of timestamp keys."""
    return {
        "mediaType": MEDIA_TYPE,
        "tlogs": [dict(log) for log in tlogs],
        "certificateAuthorities": [],
        "ctlogs": [],
        "timestampAuthorities": [
            _authority(version.chain, url) for version in authorities if version.chain is not None
        ],
    }


def _authority(chain: CertificateChain, url: str) -> dict[str, Any]:
    return {
        "subject": {
            "organization": chain.subject.get("O") or "",
            "commonName": chain.subject.get("CN") or "",
        },
        "uri": f"{url}/v1/timestamps",
        "certChain": {"certificates": [{"rawBytes": base64_text(c)} for c in chain.certificates]},
        "validFor": {"start": rfc3339(chain.not_before)},
    }

"""sigstore's trusted root (protobuf-specs, `sigstore_trustroot.proto`).

cosign wants the media type exactly in this form, and refuses the file for any field that it
does not know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from cryptography import x509

from service.domain.certificates import CertificateChain
from service.domain.clock import rfc3339
from service.domain.keys import KeyVersion
from service.domain.subjects import Subject
from service.domain.x509_names import subject_from
from service.formats.trustfiles.facts import OtherAuthority
from service.translog.notes import base64_text
from service.translog.trustedroot import MEDIA_TYPE


def trusted_root(
    tlogs: Sequence[Mapping[str, Any]],
    authorities: Sequence[KeyVersion],
    *,
    url: str,
    others: Sequence[OtherAuthority] = (),
) -> dict[str, Any]:
    """Return the document; `authorities` are versions of timestamp keys, `others` not ours."""
    return {
        "mediaType": MEDIA_TYPE,
        "tlogs": [dict(log) for log in tlogs],
        "certificateAuthorities": [],
        "ctlogs": [],
        "timestampAuthorities": [
            *(
                _authority(version.chain, url)
                for version in authorities
                if version.chain is not None
            ),
            *(_other(chain, other.url) for other in others for chain in other.chains),
        ],
    }


def _authority(chain: CertificateChain, url: str) -> dict[str, Any]:
    return _entry(chain.subject, f"{url}/v1/timestamps", chain.certificates, chain.not_before)


def _other(chain: Sequence[bytes], url: str) -> dict[str, Any]:
    """Name the CAs alone: the leaf is in each token, and may change. cosign 2.6 wants those
    between leaf and root from here, where others take them from the token."""
    root = x509.load_der_x509_certificate(chain[-1])
    return _entry(subject_from(root.subject), url, chain, root.not_valid_before_utc)


def _entry(
    subject: Subject, uri: str, certificates: Sequence[bytes], start: datetime
) -> dict[str, Any]:
    return {
        "subject": {
            "organization": subject.get("O") or "",
            "commonName": subject.get("CN") or "",
        },
        "uri": uri,
        "certChain": {"certificates": [{"rawBytes": base64_text(c)} for c in certificates]},
        "validFor": {"start": rfc3339(start)},
    }

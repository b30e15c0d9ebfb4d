"""The ASN.1 types of time-stamps (RFC 3161) and of the CMS (RFC 5652) that they are in.

Imported where a stamp is read, and not before: asn1crypto's types take more than 1 MB of memory,
and most processes never read a stamp.
"""

from __future__ import annotations

from typing import Any, ClassVar

from asn1crypto import cms, core, tsp, x509

__all__ = ["TimestampResponse", "cms", "core", "tsp", "x509"]


class TimestampResponse(core.Sequence):  # type: ignore[misc]  # untyped
    """TimeStampResp (RFC 3161, 2.4.2); in asn1crypto's own the token is not optional."""

    _fields: ClassVar[list[Any]] = [
        ("status", tsp.PKIStatusInfo),
        ("time_stamp_token", cms.ContentInfo, {"optional": True}),
    ]

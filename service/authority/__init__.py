"""Certificates and requests, built by `cryptography` and signed in the HSM."""

from __future__ import annotations

from service.authority.certificates import HSMCertificateMaker

__all__ = ["HSMCertificateMaker"]

"""Signatures that we did not make, judged by the trust policy of their repository."""

from service.verification.others.judge import Others, Trusted, check_roots

__all__ = ["Others", "Trusted", "check_roots"]

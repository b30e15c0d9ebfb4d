"""What the log's formats and proofs can be: malformed, or well-formed and wrong."""

from __future__ import annotations


class TranslogError(Exception):
    """Base; its text is safe to show."""


class MalformedError(TranslogError):
    """The bytes are not of the form that they should have; nothing is known about the rest."""


class ProofInvalidError(TranslogError):
    """The proof was checked, and it does not prove what it should."""

"""What any PKCS#11 module does and says, found out by use: the suite of `sealwright slots check`.

It makes keys of its own on the token, named `sealwright slots check`, and destroys them. A check
may crash the process or never come back, which is a result too: so a caller runs this in a
process of its own, and reads which check was begun.
"""

from __future__ import annotations

from hsm.conformance.results import Check, Result, Subject, Verdict
from hsm.conformance.suite import CHECKS, begin, failed, perform

__all__ = ["CHECKS", "Check", "Result", "Subject", "Verdict", "begin", "failed", "perform"]

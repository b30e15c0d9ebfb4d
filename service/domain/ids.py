"""Identifiers that we make: a prefix that tells the kind, the time, and 80 random bits.

The time stands first, so that rows made one after the other lie side by side in an index: a
thousand random ids touch a thousand pages of it, a thousand of these a few.
"""

from __future__ import annotations

import secrets

from service.domain.clock import rough_millis


def new_id(prefix: str) -> str:
    """Return e.g. `sig_019a…`: unguessable, safe in a path, never reused, sorted by age.

    The time is this process's and orders roughly; nothing may depend on it.
    """
    return f"{prefix}_{rough_millis():012x}{secrets.token_hex(10)}"

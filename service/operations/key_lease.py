"""One change of a key at a time, across processes: uniqueness is ours to enforce.

Tokens let two processes make keys of one name or CKA_ID at the same moment, so the name is
held from before a token is touched until what came of it is on record.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from service.domain.errors import BusyError
from service.domain.ids import new_id
from service.ports.store import Leases

KEY_LEASE_SECONDS: Final = 120.0  # RSA-4096 on a slow token takes tens of seconds


@contextmanager
def held_key(leases: Leases, name: str) -> Iterator[None]:
    """Hold the key of this name for the block.

    Raises:
        BusyError: somebody else is changing it.
    """
    lease = leases.acquire(f"key:{name}", owner=new_id("own"), seconds=KEY_LEASE_SECONDS)
    if lease is None:
        raise BusyError(f"the key {name} is being changed by somebody else", retry_after=2.0)
    try:
        yield
    finally:
        leases.release(lease)

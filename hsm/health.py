"""Whether a token can sign now, without signing: the cheapest questions that tell."""

from __future__ import annotations

from typing import Final

from hsm.pool import Leased, TokenPool
from hsm.tokens import probe_login

_RANDOM_BITS: Final = 64


def probe(pool: TokenPool) -> None:
    """Ask for the token's information, for random bytes, and whether we are logged in.

    Raises:
        HSMUnavailableError, PINRefusedError
    """
    pool.run(_probe)


def _probe(leased: Leased) -> None:
    leased.session.token.slot.get_token()
    leased.session.generate_random(_RANDOM_BITS)
    probe_login(leased.session)

"""Signing a run of messages on one session; no signature leaves before its check has passed.

Per signature there is one call of the module and one check: sessions, logins and key handles
are the pool's and are kept. A signature that fails its check counts as the token's fault,
because a stale handle signs with somebody else's key without any error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from hsm import watchdog
from hsm.errors import HSMError, SignatureCheckError
from hsm.keys import private_key
from hsm.mechanisms import RECIPES, Recipe, Scheme
from hsm.pool import Leased, TokenPool
from hsm.watchdog import Patience

CHECK_RETRIES: Final = 2  # a stale handle is cured by the first; more would only burn the token

_RSA_BUFFER: Final = 512  # bytes of a 4096-bit signature; python-pkcs11 enlarges it if need be

Item = tuple[bytes, Callable[[bytes], None]]
"""A message, and what raises unless the encoded signature over it is right."""


class _DistrustedError(Exception):
    """A signature did not pass; not the token's own word, so the ladder does not know it."""


def sign(
    pool: TokenPool, cka_id: bytes, scheme: Scheme, items: Sequence[Item]
) -> list[bytes | HSMError]:
    """Sign each message, in order; a failure is that item's, or every remaining item's."""
    run = _Run(cka_id, RECIPES[scheme], items)
    while len(run.results) < len(items):
        try:
            pool.run(run)
        except _DistrustedError:
            pool.distrust(run.generation)
        except HSMError as error:
            missing = len(items) - len(run.results)
            run.results.extend([error] * missing)
    return run.results


class _Run:
    """One run through the items, which goes on where it was when it is called again."""

    def __init__(self, cka_id: bytes, recipe: Recipe, items: Sequence[Item]) -> None:
        self.results: list[bytes | HSMError] = []
        self.generation = 0
        self._cka_id = cka_id
        self._recipe = recipe
        self._items = items
        self._retries = CHECK_RETRIES

    def __call__(self, leased: Leased) -> None:
        self.generation = leased.generation
        recipe = self._recipe
        key = private_key(leased, self._cka_id, recipe.key_type)
        how = {
            "mechanism": recipe.mechanism,
            "mechanism_param": recipe.parameter,
            "buffer_size": recipe.raw_length or _RSA_BUFFER,
        }
        for message, check in self._items[len(self.results) :]:
            prepared = recipe.prepare(message)
            watchdog.begin()
            raw = key.sign(prepared, **how)
            # The check is the caller's: however long it takes, no HSM is to blame.
            watchdog.begin(Patience.ENDLESS)
            try:
                signature = recipe.encode(raw)
                check(signature)
            except Exception as error:  # noqa: BLE001
                # The check is the caller's and so are its errors. Whatever it says, this
                # signature is not known to be right.
                self._failed(error)
            else:
                self.results.append(signature)

    def _failed(self, error: Exception) -> None:
        if self._retries:
            self._retries -= 1
            raise _DistrustedError from error
        # The retries are for the whole run: with a wrong key every item would use them up.
        refused = SignatureCheckError("the token returned a signature that does not verify")
        refused.__cause__ = error
        self.results.append(refused)

"""Signing a run of messages on one session; no signature leaves before its check has passed.

Per signature there is one call of the module and one check: sessions, logins and key handles
are the pool's and are kept. The checks of a few signatures follow their calls together: either
needs the processor's caches for itself, and by turns they cost a quarter more. A signature that
fails its check counts as the token's fault, because a stale handle signs with somebody else's
key without any error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from hsm import watchdog
from hsm.errors import HSMError, SignatureCheckError
from hsm.keys import private_key
from hsm.mechanisms import RECIPES, Recipe, Scheme
from hsm.module import handle_of
from hsm.pool import Leased, TokenPool
from hsm.watchdog import Patience

CHECK_RETRIES: Final = 2  # a stale handle is cured by the first; more would only burn the token

PASS_ITEMS: Final = 32  # a stale handle burns no more before the first check finds it out

_RSA_BYTES: Final = 512  # of a signature by 4096 bits, the largest key that is used

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
        call = leased.module.sign_call(
            recipe.mechanism, recipe.parameter, room=recipe.raw_length or _RSA_BYTES
        )
        sign = partial(call, handle_of(leased.session), handle_of(key))
        while len(self.results) < len(self._items):
            done = len(self.results)
            self._pass(self._items[done : done + PASS_ITEMS], sign)

    def _pass(self, items: Sequence[Item], sign: Callable[[bytes], bytes]) -> None:
        """Sign some messages, and then check what came of it, also if the token failed meanwhile."""
        signed: list[bytes] = []
        try:
            for message, _ in items:
                prepared = self._recipe.prepare(message)
                watchdog.begin()
                signed.append(sign(prepared))
                # What follows is the caller's: however long it takes, no HSM is to blame.
                watchdog.begin(Patience.ENDLESS)
        finally:
            watchdog.begin(Patience.ENDLESS)
            for raw, (_, check) in zip(signed, items, strict=False):
                self._settle(raw, check)

    def _settle(self, raw: bytes, check: Callable[[bytes], None]) -> None:
        try:
            signature = self._recipe.encode(raw)
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

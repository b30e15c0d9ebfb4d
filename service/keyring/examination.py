"""A token put through the conformance suite, step by step, for `sealwright slots check`.

Yields plain values, because the suite runs in a process of its own: a module may crash it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

import hsm
from hsm import conformance
from hsm.conformance.bench import Bench
from service.domain.errors import ServiceError
from service.keyring.gate import LoneGate
from service.keyring.keyring import SESSIONS, TokenConfig, address_of

CHECK_NAMES: Final = tuple(check.name for check in conformance.CHECKS)


@dataclass(frozen=True, slots=True)
class Step:
    """One of: what is examined, a check that begins, its result, why nothing can be examined."""

    subject: dict[str, Any] | None = None
    begun: str | None = None
    result: dict[str, Any] | None = None
    problem: str | None = None


def examine(
    token: TokenConfig,
    gate: hsm.PINGate | None,
    *,
    skip: Collection[str],
    wrong_pin: bool,
) -> Iterator[Step]:
    """Examine the token, but for the checks in `skip`.

    Without a gate the process is alone with the token. `wrong_pin` spends a try of its PIN.
    """
    pool = hsm.TokenPool(address_of(token), gate or LoneGate(), sessions=SESSIONS)
    bench = Bench(pool)
    try:
        yield Step(subject=asdict(conformance.begin(bench)))
    except (hsm.HSMError, ServiceError) as error:
        cause = f" ({error.__cause__})" if error.__cause__ else ""
        yield Step(problem=f"{error}{cause}")
        return
    try:
        for check in conformance.CHECKS:
            if check.name in skip or (check.asked_for and not wrong_pin):
                continue
            yield Step(begun=check.name)
            yield Step(result=_told(conformance.perform(check, bench)))
    finally:
        bench.clean()


def crashed(name: str, detail: str) -> dict[str, Any]:
    """Return the result of a check that took its process along."""
    check = next(each for each in conformance.CHECKS if each.name == name)
    return _told(conformance.failed(check, detail))


def _told(result: conformance.Result) -> dict[str, Any]:
    return {**asdict(result), "acceptable": result.acceptable}

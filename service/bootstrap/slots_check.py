"""`sealwright slots check`: each token is examined in a process of its own, which may crash or hang.

The parent names the token, the child examines it and tells each step as a line of JSON. What a
check did to the child is its result; the next child goes on behind it. A configured token is
logged in to through the latch of refused PINs, as always; one that is named by hand has none.

The child is `python -m service.bootstrap.slots_check`, with the order as JSON on its input.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, Final

from service.bootstrap.api import token_config
from service.bootstrap.secrets import own_secret
from service.bootstrap.settings import Settings
from service.bootstrap.tokens_file import TokenSettings
from service.domain.clock import SystemClock
from service.domain.errors import ServiceError, TokenNotFoundError
from service.keyring import CHECK_NAMES, StoreGate, crashed, examine
from service.store import Store

# One check: RSA-4096 on a slow HSM takes a minute; it makes that key, and signs twice.
CHECK_SECONDS: Final = 180.0
# To load the module, log in and clean up, on a machine that has much else to do.
START_SECONDS: Final = 180.0
# To let the module and the interpreter end, likewise, once everything has been told.
END_SECONDS: Final = 30.0


NAMES: Final = CHECK_NAMES


@dataclass(frozen=True, slots=True)
class Report:
    """What was found out about one token; `problem` is why nothing, or no more, could be."""

    name: str
    subject: dict[str, Any] | None = None
    problem: str | None = None
    checks: list[dict[str, Any]] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return self.problem is None and all(check["acceptable"] for check in self.checks)


@dataclass(frozen=True, slots=True)
class Order:
    """What a child examines: one of the configured tokens, or one that was named by hand."""

    configured: int | None
    by_hand: dict[str, str | None] | None
    skip: list[str]
    wrong_pin: bool


def check_configured(
    names: Sequence[str], *, skip: Sequence[str], wrong_pin: bool
) -> Iterator[Report]:
    """Examine the configured tokens of these names or labels; none named means all.

    Raises:
        ConfigurationError
        TokenNotFoundError: a name fits no configured token.
    """
    tokens = Settings.from_environment().tokens
    for name in names:
        if not any(name in (token.name, token.label) for token in tokens):
            raise TokenNotFoundError(f"no token {name!r} is configured")
    for number, token in enumerate(tokens):
        if not names or {token.name, token.label} & set(names):
            yield _check(token.name, Order(number, None, list(skip), wrong_pin))


def check_by_hand(token: TokenSettings, *, skip: Sequence[str], wrong_pin: bool) -> Report:
    """Examine any token of any module."""
    by_hand = {
        "module": str(token.module),
        "label": token.label,
        "serial": token.serial,
        "pin_file": str(token.pin_file),
        "init_args": token.init_args,
    }
    return _check(token.label, Order(None, by_hand, list(skip), wrong_pin))


def _check(name: str, order: Order) -> Report:
    """Run children until every check has its result."""
    skip = list(order.skip)
    subject: dict[str, Any] | None = None
    checks: list[dict[str, Any]] = []
    while True:
        begun: str | None = None
        with _child(Order(order.configured, order.by_hand, skip, order.wrong_pin)) as child:
            silent = True
            for step in _steps(child):
                if step is None:
                    silent = False
                    break
                subject = step["subject"] or subject
                if step["problem"] is not None:
                    return Report(name, subject, step["problem"], checks)
                begun = step["begun"] or begun
                if step["result"] is not None:
                    checks.append(step["result"])
                    skip.append(step["result"]["name"])
                    begun = None
            end = "did not come back" if silent else _end_of(child)
        if end is None:
            return Report(name, subject, None, checks)
        if begun is None:
            return Report(name, subject, f"the module {end} outside of every check", checks)
        checks.append(crashed(begun, f"the module {end}"))
        skip.append(begun)


@contextmanager
def _child(order: Order) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "service.bootstrap.slots_check"]
    child = subprocess.Popen(  # noqa: S603  # our own interpreter, with constant arguments
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        if child.stdin is not None:
            child.stdin.write(json.dumps(asdict(order)))
            child.stdin.close()
        yield child
    finally:
        child.kill()
        child.wait()
        if child.stdout is not None:
            child.stdout.close()


def _steps(child: subprocess.Popen[str]) -> Iterator[dict[str, Any] | None]:
    """Yield what the child tells, and None when it closes its output; less if it falls silent."""
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def read(stream: IO[str]) -> None:
        for line in stream:
            lines.put(line)
        lines.put(None)

    if child.stdout is None:
        return
    threading.Thread(target=read, args=(child.stdout,), daemon=True).start()
    seconds = START_SECONDS
    while True:
        try:
            line = lines.get(timeout=seconds)
        except queue.Empty:
            return
        if line is None:
            yield None
            return
        yield json.loads(line)
        seconds = CHECK_SECONDS


def _end_of(child: subprocess.Popen[str]) -> str | None:
    """Return how a child that has told everything came to its end; None is as it should."""
    try:
        code = child.wait(timeout=END_SECONDS)
    except subprocess.TimeoutExpired:
        return "did not come back"
    if code == 0:
        return None
    if code < 0:
        return f"crashed the process ({signal.Signals(-code).name})"
    return f"ended the process with {code}"


def main() -> None:
    """The child: examine, and tell each step."""
    order = Order(**json.load(sys.stdin))
    # Modules write to the output as they like; ours alone is read as JSON.
    told = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def tell(**step: Any) -> None:
        empty = {"subject": None, "begun": None, "result": None, "problem": None}
        told.write(json.dumps({**empty, **step}) + "\n")
        told.flush()

    if order.by_hand is not None:
        token = token_config(_by_hand(order.by_hand))
        steps = examine(token, None, skip=order.skip, wrong_pin=order.wrong_pin)
        for step in steps:
            tell(**asdict(step))
        return
    settings = Settings.from_environment()
    token = token_config(settings.tokens[order.configured or 0])
    store = Store(settings.database_url)
    try:
        store.health.check()
        secret = own_secret(settings.pin_latch_secret_file)
        gate = StoreGate(store.pins, store.leases, SystemClock(), secret)
        for step in examine(token, gate, skip=order.skip, wrong_pin=order.wrong_pin):
            tell(**asdict(step))
    except ServiceError as error:
        tell(problem=f"the latch of refused PINs is in the store: {error}")
    finally:
        store.close()


def _by_hand(given: dict[str, str | None]) -> TokenSettings:
    return TokenSettings(
        Path(given["module"] or ""),
        given["label"] or "",
        given["serial"],
        Path(given["pin_file"] or ""),
        init_args=given["init_args"],
    )


if __name__ == "__main__":
    main()

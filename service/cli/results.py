"""What came of signing or attesting: waited for, told, and made an exit code of."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, Final, NoReturn

from service.cli.exits import Exit, exit_for, worst
from service.cli.output import emit, finish, say, warn
from service.client import SealwrightClient

POLL_SECONDS: Final = 0.5  # a delivery takes some tenths of a second


def conclude(
    service: SealwrightClient,
    answer: dict[str, Any],
    *,
    done: str,
    deadline: float | None,
    json_wanted: bool,
) -> NoReturn:
    """Wait for attachments until the deadline, if there is one; then show and end."""
    if deadline is not None:
        _wait(service, answer, deadline)
    show_results(answer, done=done, json_wanted=json_wanted, waited=deadline is not None)


def show_results(
    answer: dict[str, Any],
    *,
    done: str,
    json_wanted: bool,
    waited: bool,
    exits: frozenset[Exit] = frozenset(),
) -> NoReturn:
    """Print what it has come to, and end with the exit code for it.

    `exits` are those of what the answer does not tell of.
    """
    if json_wanted:
        emit(answer)
    else:
        _tell(answer["results"], done=done)
    finish(worst({*exits, _exit(answer["results"], waited=waited)}))


def _signatures(results: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for item in results:
        yield from item["signatures"]
        yield from _signatures(item["children"])


def _wait(service: SealwrightClient, answer: dict[str, Any], deadline: float) -> None:
    """Ask for pending attachments until none is left or the time is up."""
    while True:
        pending = [
            made
            for made in _signatures(answer["results"])
            if made["attachment"]["state"] == "pending"
        ]
        if not pending or time.monotonic() >= deadline:
            return
        time.sleep(min(POLL_SECONDS, max(0.0, deadline - time.monotonic())))
        for made in pending:
            made["attachment"] = service.signature(made["id"])["attachment"]


def _tell(results: Sequence[dict[str, Any]], *, done: str) -> None:
    for item in results:
        error = item["error"]
        if error is not None:
            warn(
                f"{'failed':<{len(done)}}  {item['reference']}: {error['detail']} ({error['code']})"
            )
        for made in item["signatures"]:
            state = made["attachment"]["state"]
            why = made["attachment"].get("error")
            if why is not None:
                warn(f"failed  {item['reference']}: {why['detail']} ({why['code']})")
            say(
                f"{done}  {item['reference']} as {made.get('predicate_type', made['format'])} "
                f"by {made['key']} v{made['key_version']}: attachment {state}"
            )
        _tell(item["children"], done=done)


def _exit(results: Sequence[dict[str, Any]], *, waited: bool) -> Exit:
    states = {made["attachment"]["state"] for made in _signatures(results)}
    exits = {Exit.UNAVAILABLE} if "failed" in states or (waited and "pending" in states) else set()
    return worst(exits | set(_error_exits(results)))


def _error_exits(results: Sequence[dict[str, Any]]) -> Iterator[Exit]:
    for item in results:
        if item["error"] is not None:
            yield exit_for(item["error"]["code"], retryable=item["error"]["retryable"])
        yield from _error_exits(item["children"])

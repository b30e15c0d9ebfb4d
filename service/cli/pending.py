"""What a command says of an act that waits for approvals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from service.cli.exits import Exit
from service.cli.output import emit, finish, say


def is_pending(answered: dict[str, Any]) -> bool:
    """Whether the service answered with an approval (202) in place of the thing itself."""
    return "approvals" in answered and answered.get("state") == "pending"


def show_or_pending(
    answered: dict[str, Any], show: Callable[[dict[str, Any]], None], *, json_wanted: bool
) -> None:
    """Print what was done, or the approval that it waits for; that ends with exit code 4."""
    if json_wanted:
        emit(answered)
    elif is_pending(answered):
        say_pending(answered)
    else:
        show(answered)
    if is_pending(answered):
        finish(Exit.UNAVAILABLE)


def say_pending(approval: dict[str, Any]) -> None:
    missing = approval["missing"]
    people = "person" if missing == 1 else "people"
    say(f"pending: {approval['act']} {approval['subject']} needs {missing} more {people}")
    say(f"  approval {approval['id']}, until {approval['expires_at']}")
    say(f"  another custodian: sealwright approvals approve {approval['id']}")

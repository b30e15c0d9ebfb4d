"""`sealwright outbox`: what must still happen at registries."""

from __future__ import annotations

from typing import Any, Final

import click

from service.cli.output import as_json, emit, say, table
from service.cli.remote import client
from service.domain.outbox import OrderState

_STATES: Final = click.Choice([state.value for state in OrderState])


@click.group()
def outbox() -> None:
    """Show and retry deliveries."""


@outbox.command("list")
@click.option("--state", type=_STATES, help="Only orders in this state.")
@as_json
def list_orders(*, state: str | None, json_wanted: bool) -> None:
    """List orders."""
    found = list(client().orders(state))
    if json_wanted:
        emit(found)
        return
    rows = [("ID", "KIND", "STATE", "ATTEMPTS", "DUE", "IMAGE", "ERROR")]
    rows += [
        (
            str(order["id"]),
            order["kind"],
            order["state"],
            str(order["attempts"]),
            order["due_at"],
            f"{order['repository']}@{order['digest']}",
            _error(order["error"]),
        )
        for order in found
    ]
    table(rows)


def _error(error: dict[str, Any] | None) -> str:
    if error is None:
        return ""
    return f"{error['code']}: {error['detail']}" if error["detail"] else str(error["code"])


@outbox.command("retry")
@click.argument("attachments", nargs=-1, metavar="[ATTACHMENT]...")
@as_json
def retry(attachments: tuple[str, ...], *, json_wanted: bool) -> None:
    """Make every parked order due at once, or only the named ATTACHMENTs."""
    service = client()
    if not attachments:
        count = service.retry_parked()
        if json_wanted:
            emit({"retried": count})
        else:
            say(f"{count} parked orders are due now")
        return
    retried = [service.retry_attachment(attachment) for attachment in attachments]
    if json_wanted:
        emit(retried)
        return
    for status in retried:
        say(f"{status['id']}: {status['state']}")

"""`sealwright slots`: tokens, for custodians; `check` is local and speaks to the module itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from service.cli.exits import Exit
from service.cli.output import as_json, emit, finish, say, table
from service.cli.remote import client


@click.group()
def slots() -> None:
    """Show slots and what they can do; retry a refused PIN; examine a token (local)."""


@slots.command("list")
@as_json
def list_slots(*, json_wanted: bool) -> None:
    """List slots, initialised ones first."""
    found = list(client().slots())
    if json_wanted:
        emit(found)
        return
    rows = [("TOKEN", "NAME", "STATE", "SERIAL", "FREE", "MODULE", "DETAIL")]
    rows += [
        (
            s["token"] or "-",
            s["name"] or "-",
            s["state"],
            s["serial"] or "-",
            _bytes(s["free_bytes"]),
            s["module"],
            s["detail"] or "",
        )
        for s in found
    ]
    table(rows)


@slots.command("show")
@click.argument("token")
@as_json
def show(token: str, *, json_wanted: bool) -> None:
    """Show the slots whose token has this label or name."""
    found = [s for s in client().slots() if token in (s["token"], s["name"])]
    if not found:
        raise click.UsageError(f"no slot holds a token {token!r}")
    if json_wanted:
        emit(found)
        return
    for slot in found:
        shown = {**slot, "free_bytes": _bytes(slot["free_bytes"])}
        for name, value in shown.items():
            text = " ".join(value) if isinstance(value, list) else value
            say(f"{name + ':':12} {text if text not in (None, '') else '-'}")


@slots.command("mechanisms")
@click.argument("token")
@as_json
def mechanisms(token: str, *, json_wanted: bool) -> None:
    """List what the token of this label or name can do."""
    found = client().mechanisms(token)
    if json_wanted:
        emit(found)
        return
    rows = [("MECHANISM", "KEY SIZES", "FLAGS")]
    rows += [
        (m["name"], f"{m['min_key_size']}-{m['max_key_size']}", " ".join(m["flags"])) for m in found
    ]
    table(rows)


@slots.command("login")
@click.argument("token")
@as_json
def login(token: str, *, json_wanted: bool) -> None:
    """Clear a refused PIN of TOKEN, and try it exactly once more."""
    status = client().login(token)
    if json_wanted:
        emit(status)
    else:
        say(f"{status['token']}: {status['state']}")


@slots.command("check")
@click.argument("tokens", nargs=-1)
@click.option("--module", type=click.Path(path_type=Path), help="Examine a token of this module.")
@click.option("--label", help="Its label.")
@click.option("--serial", help="Its serial, where labels repeat.")
@click.option("--pin-file", type=click.Path(path_type=Path), help="The file with its user PIN.")
@click.option("--init-args", help="What the module wants at C_Initialize.")
@click.option("--skip", multiple=True, metavar="CHECK", help="Leave a check out.")
@click.option("--wrong-pin", is_flag=True, help="Try a wrong PIN too: spends one of its tries.")
@as_json
def check(
    tokens: Sequence[str],
    *,
    module: Path | None,
    label: str | None,
    serial: str | None,
    pin_file: Path | None,
    init_args: str | None,
    skip: Sequence[str],
    wrong_pin: bool,
    json_wanted: bool,
) -> None:
    """Examine TOKENS (all that are configured) or one of a --module: what works, what lies.

    Makes keys of its own on the token and destroys them. Exit code 1: a token is not fit.
    """
    from service.bootstrap import slots_check  # noqa: PLC0415 - pays for everything
    from service.bootstrap.tokens_file import TokenSettings  # noqa: PLC0415

    unknown = set(skip) - set(slots_check.NAMES)
    if unknown:
        known = ", ".join(slots_check.NAMES)
        raise click.UsageError(f"no check is named {', '.join(sorted(unknown))}; there are {known}")
    if module is None:
        if label or serial or pin_file or init_args:
            raise click.UsageError("--label, --serial, --pin-file, --init-args need a --module")
        reports = list(slots_check.check_configured(tokens, skip=skip, wrong_pin=wrong_pin))
    else:
        if tokens or label is None or pin_file is None:
            raise click.UsageError("--module goes with --label and --pin-file, without TOKENS")
        by_hand = TokenSettings(module, label, serial, pin_file, init_args=init_args)
        reports = [slots_check.check_by_hand(by_hand, skip=skip, wrong_pin=wrong_pin)]
    sound = all(report.ok for report in reports)
    if json_wanted:
        told = [
            {
                "name": report.name,
                "ok": report.ok,
                "problem": report.problem,
                "subject": report.subject,
                "checks": report.checks,
            }
            for report in reports
        ]
        emit({"ok": sound, "tokens": told})
    else:
        for report in reports:
            _say_report(report.name, report.subject, report.problem, report.checks)
    finish(Exit.DONE if sound else Exit.VERDICT_IS_NO)


def _say_report(
    name: str,
    subject: Mapping[str, Any] | None,
    problem: str | None,
    checks: Sequence[Mapping[str, Any]],
) -> None:
    say(f"token {name}")
    if subject is not None:
        say(f"  {subject['library']}; {subject['maker']}; serial {subject['serial']}")
        say(f"  quirks: {subject['quirks'] or 'none are known of it'}")
    if checks:
        rows = [("CHECK", "VERDICT", "", "DETAIL")]
        rows += [
            (
                c["name"],
                c["verdict"],
                "" if c["verdict"] == "works" else "ok" if c["acceptable"] else "NOT OK",
                c["detail"] + (f" (known: {c['known']})" if _is_known(c) else ""),
            )
            for c in checks
        ]
        table(rows)
    if problem is not None:
        say(f"NOT OK: {problem}")
    elif bad := [c["name"] for c in checks if not c["acceptable"]]:
        say(f"NOT OK: {', '.join(bad)}")
    else:
        say("Sealwright can use this token.")


def _is_known(check: Mapping[str, Any]) -> bool:
    return check["known"] is not None and check["verdict"] != "works"


def _bytes(number: int | None) -> str:
    return "-" if number is None else str(number)

"""Commands that run on the service's own machine. None of them changes a key or an approval."""

from __future__ import annotations

import click

from service.cli.exits import Exit
from service.cli.output import as_json, emit, finish, say


@click.group()
def db() -> None:
    """Migrate the database, or show its schema (local)."""


@db.command()
def upgrade() -> None:
    """Bring the database's schema to this version, beside replicas that serve."""
    from service.bootstrap.local import upgrade_database  # noqa: PLC0415 - pays for the store

    state = upgrade_database()
    if state.is_newer:
        say(f"the database has a newer schema, {state.revision}, and this version works with it")
    else:
        say(f"the database has the schema of this version, {state.revision}")


@db.command()
@as_json
def status(*, json_wanted: bool) -> None:
    """Show the database's schema, and whether this version works with it."""
    from service.bootstrap.local import schema_of_database  # noqa: PLC0415 - pays for the store

    state = schema_of_database()
    if json_wanted:
        emit(
            {
                "schema": state.revision,
                "oldest_program": state.oldest_program,
                "program": state.program,
                "works": state.is_supported,
            }
        )
    else:
        say(
            f"schema {state.revision or 'none'}, for programs since "
            f"{state.oldest_program or 'none'}; this program is of {state.program}"
        )
        if not state.is_supported:
            cure = "run a newer version" if state.is_newer else "sealwright db upgrade"
            say(f"they do not work together: {cure}")
    finish(Exit.DONE if state.is_supported else Exit.UNAVAILABLE)


@click.group()
def config() -> None:
    """Check the configuration (local)."""


@config.command()
@as_json
def check(*, json_wanted: bool) -> None:
    """Read the settings and every file that they name, and list what is wrong."""
    from service.bootstrap.local import check_configuration  # noqa: PLC0415 - pays for the store

    faults = check_configuration()
    if json_wanted:
        emit({"faults": faults})
    elif faults:
        for fault in faults:
            say(f"wrong  {fault}")
    else:
        say("the configuration is sound")
    finish(Exit.USAGE if faults else Exit.DONE)


@click.command()
@as_json
def doctor(*, json_wanted: bool) -> None:
    """Ask module, token, PIN file, store and registries what is wrong, and how to mend it."""
    from service.bootstrap.doctor import diagnose  # noqa: PLC0415 - pays for everything

    findings = diagnose()
    if json_wanted:
        emit([{"what": f.what, "problem": f.problem, "cure": f.cure} for f in findings])
    else:
        for finding in findings:
            if finding.problem is None:
                say(f"sound  {finding.what}")
            else:
                say(f"wrong  {finding.what}: {finding.problem}")
                say(f" cure: {finding.cure}")
    wrong = any(finding.problem is not None for finding in findings)
    finish(Exit.UNAVAILABLE if wrong else Exit.DONE)

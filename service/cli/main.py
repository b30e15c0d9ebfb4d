"""`sealwright`: finds the command, and makes of whatever comes an exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import MappingProxyType
from typing import Final

import click

from service.cli.exits import Exit
from service.cli.lazy import LazyCommand, LazyGroup

INTERRUPTED: Final = 130  # 128 and SIGINT's number, as shells have it

COMMANDS: Final = MappingProxyType(
    {
        "sign": LazyCommand("service.cli.sign:sign", "Sign images."),
        "attest": LazyCommand(
            "service.cli.attest:attest", "Attest provenance, contents and scans of images."
        ),
        "verify": LazyCommand("service.cli.verify:verify", "Verify images at their registries."),
        "bundle": LazyCommand("service.cli.bundle:bundle", "Check sigstore bundles (local)."),
        "keys": LazyCommand("service.cli.keys:keys", "Show, make, rotate and move keys."),
        "credentials": LazyCommand(
            "service.cli.credentials:credentials", "Make, list and revoke credentials."
        ),
        "approvals": LazyCommand(
            "service.cli.approvals:approvals", "Approve or reject what others ask for."
        ),
        "policy": LazyCommand("service.cli.policy:policy", "Show the quorum rules; loosen them."),
        "log": LazyCommand("service.cli.log:log", "Verify, monitor and prove the log."),
        "jobs": LazyCommand("service.cli.jobs:jobs", "Show what is done later."),
        "maintenance": LazyCommand(
            "service.cli.maintenance:maintenance", "Stop signing for a while."
        ),
        "outbox": LazyCommand("service.cli.outbox:outbox", "Show and retry deliveries."),
        "intents": LazyCommand(
            "service.cli.intents:intents", "Show what was begun and has no outcome."
        ),
        "slots": LazyCommand("service.cli.slots:slots", "Show slots; retry a refused PIN."),
        "trust": LazyCommand("service.cli.trust:trust", "Files for verifiers' own tools."),
        "explain": LazyCommand("service.cli.explain:explain", "Explain an error code."),
        "openapi": LazyCommand("service.cli.openapi:openapi", "Print openapi.yaml."),
        "dev": LazyCommand("service.dev.command:dev", "Run the whole product on loopback (local)."),
        "serve": LazyCommand("service.cli.processes:serve", "Run the API (local)."),
        "worker": LazyCommand(
            "service.cli.processes:worker", "Deliver attachments and do jobs (local)."
        ),
        "db": LazyCommand("service.cli.local:db", "Migrate the database (local)."),
        "backup": LazyCommand(
            "service.cli.backup:backup", "Back up, verify and restore store and token (local)."
        ),
        "config": LazyCommand("service.cli.local:config", "Check the configuration (local)."),
        "doctor": LazyCommand("service.cli.local:doctor", "Find out what is wrong (local)."),
    }
)
"""Every command; whoever adds one adds its line here."""


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="sealwright")
def cli() -> None:
    """Sign container images with keys that never leave an HSM.

    Commands are HTTP clients of the service named by SEALWRIGHT_URL, with the credential in
    the file named by SEALWRIGHT_TOKEN_FILE, except those marked local.

    Exit codes: 0 done, 1 the verdict is no, 2 usage, 3 not authorised, 4 unavailable or still
    pending (retry), 5 bug.
    """


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    try:
        code = cli.main(
            None if arguments is None else list(arguments),
            prog_name="sealwright",
            standalone_mode=False,
        )
    except click.ClickException as error:
        error.show()
        return Exit.USAGE
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - outermost: each failure must end in its exit code
        # Imported here, because a command that succeeds has no use for it.
        from service.cli.failures import report  # noqa: PLC0415

        return report(error)
    return code if isinstance(code, int) else Exit.DONE


def main() -> None:
    sys.exit(run())

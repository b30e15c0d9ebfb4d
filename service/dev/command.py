"""`sealwright dev`: set up, say so in one line, keep everything running, end it all."""

from __future__ import annotations

import json
import logging
import os
import re
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from service.dev.errors import SetupError, StoppedError
from service.dev.settings import base_environment
from service.dev.setup import Setup, Wanted
from service.dev.stopping import Stop
from service.dev.supervisor import Supervisor
from service.dev.token import Token

_REGISTRY = re.compile(r"[A-Za-z0-9.-]+:[0-9]{1,5}|\[[0-9a-fA-F:]+\]:[0-9]{1,5}")


@click.command("dev")
@click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".state/dev"),
    show_default=True,
    metavar="DIR",
    help="Where everything is kept; the same directory again gives the same keys and records.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    metavar="N",
    help="The service's port on 127.0.0.1; a free one if left out.",
)
@click.option(
    "--registry",
    "registries",
    multiple=True,
    metavar="HOST:PORT",
    help="A registry that runs, reached by plain HTTP, instead of one of our own. Repeatable.",
)
@click.option(
    "--module",
    type=click.Path(dir_okay=False, exists=True, path_type=Path),
    metavar="PATH",
    help="The PKCS#11 module of a token that exists, instead of a SoftHSM token of our own.",
)
@click.option("--token", metavar="LABEL", help="That token's label.")
@click.option(
    "--pin-file",
    type=click.Path(dir_okay=False, exists=True, path_type=Path),
    metavar="FILE",
    help="The file with that token's PIN.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the line as JSON.")
def dev(
    *,
    state: Path,
    port: int,
    registries: tuple[str, ...],
    module: Path | None,
    token: str | None,
    pin_file: Path | None,
    as_json: bool,
) -> int:
    """Run the whole product on loopback, for trying it: service, worker, token, registry.

    Prints one line when it is ready. SIGTERM or Ctrl-C ends everything that it started.
    """
    for registry in registries:
        if not _REGISTRY.fullmatch(registry):
            raise click.UsageError(f"--registry takes HOST:PORT, not {registry!r}")
    wanted = Wanted(state, port, registries, _named_token(module, token, pin_file=pin_file))
    return _run(wanted, as_json=as_json)


def _named_token(module: Path | None, label: str | None, *, pin_file: Path | None) -> Token | None:
    if module is None and label is None and pin_file is None:
        return None
    if module is None or not label or pin_file is None:
        raise click.UsageError("--module, --token and --pin-file go together")
    return Token(module.absolute(), label, pin_file.absolute(), {})


def _run(wanted: Wanted, *, as_json: bool) -> int:
    stop = Stop()
    supervisor = Supervisor()
    with ExitStack() as held:
        try:
            setup = Setup(wanted, base_environment(), supervisor=supervisor, stop=stop, held=held)
            setup.hold()
            _log_to(setup.logs / "dev.log")
            ready = setup.start()
            _say(ready, as_json=as_json)
            supervisor.keep(stop)
        except StoppedError:
            pass  # asked to end before it was ready, which is no failure
        except SetupError as error:
            # Ctrl-C ends a step of the setup too, which then looks like its failure.
            if not stop.asked:
                click.echo(f"sealwright dev: {error}", err=True)
                return error.exit_code
        finally:
            supervisor.end()
    return 0


def _say(ready: dict[str, Any], *, as_json: bool) -> None:
    if "not_ready" in ready:
        click.echo(
            f"sealwright dev: it cannot sign: {ready['not_ready']}. `sealwright explain "
            "log-rolled-back` says what to do; it goes on by itself once that is done",
            err=True,
        )
    if as_json:
        order = ("service", "registries", "state", "pid", "keys", "credentials", "not_ready")
        line = {**ready, "pid": os.getpid()}
        click.echo(json.dumps({name: line[name] for name in order if name in line}))
        return
    registries = ", ".join(ready["registries"])
    state = "NOT ready to sign" if "not_ready" in ready else "ready"
    click.echo(
        f"{state}: {ready['service']} (registry {registries}; everything in {ready['state']})"
    )


def _log_to(file: Path) -> None:
    handler = logging.FileHandler(file, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("sealwright.dev")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.handlers = [handler]

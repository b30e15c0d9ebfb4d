"""`sealwright log monitor`: a log that only grows, and that holds what lies at registries."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from service.cli.exits import Exit
from service.cli.log_options import audit_option, keys_option, mirror_option, refuse
from service.cli.log_view import LogView, keys_from, signing_keys
from service.cli.output import as_json, emit, finish, say, warn
from service.cli.remote import client
from service.cli.signature_index import SignatureIndex
from service.domain.public_keys import SignatureInvalidError
from service.translog.errors import TranslogError

if TYPE_CHECKING:
    from service.operations.log import Sightings


@click.command()
@audit_option
@keys_option
@click.option(
    "--state",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="What was seen before is kept here; keep it where the log's operators cannot write.",
)
@click.option(
    "--every",
    type=click.FloatRange(0.05),
    metavar="SECONDS",
    help="Go on watching; without it the command looks once.",
)
@click.option(
    "--repository",
    "repositories",
    multiple=True,
    metavar="HOST/PATH",
    help="Look through this repository for signatures by our keys that the log does not hold "
    "(SEALWRIGHT_REGISTRIES_FILE says how it is reached). Repeatable.",
)
@click.option(
    "--signer",
    "signer_files",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="PEM",
    help="A public key whose signatures the log must hold. Repeatable. Without it the service is "
    "asked for every key that it has or had.",
)
@click.option(
    "--store",
    is_flag=True,
    help="Look through every repository on record too, and open a critical finding for each such "
    "signature (local).",
)
@mirror_option
@as_json
def monitor(
    *,
    audit: bool,
    key_files: tuple[Path, ...],
    state: Path,
    every: float | None,
    repositories: tuple[str, ...],
    signer_files: tuple[Path, ...],
    store: bool,
    mirror: Path | None,
    json_wanted: bool,
) -> None:
    """Watch that the log only grows, and that it holds the signatures that lie at registries.

    What the log once showed it must hold for ever: where it does not, the command ends with 1 and
    keeps both checkpoints in FILE.evidence. It ends with 1, too, where a signature by one of our
    keys is not in the log, and with 4 where a registry did not answer.
    """
    if audit and (repositories or store):
        raise click.UsageError("the audit log holds no signatures")
    view = LogView(client(), audit=audit, keys=keys_from(key_files), mirror=mirror)
    signers = dict(zip(keys_from(signer_files), map(str, signer_files), strict=True))
    places = _Places(view, repositories, signers, store, state)
    while True:
        # First the registries: what lies there was in the log before.
        places.look()
        try:
            seen = view.watch(state, places.index)
        except (TranslogError, SignatureInvalidError) as error:
            refuse(str(error), json_wanted=json_wanted)
        unlogged = places.unlogged()
        if json_wanted:
            emit({**seen, **places.told(unlogged)})
        else:
            say(f"{seen['log']}: {seen['size']} entries, {seen['new']} of them new; consistent")
            places.say(unlogged)
        if unlogged:
            finish(Exit.VERDICT_IS_NO)
        if every is None:
            finish(Exit.UNAVAILABLE if places.unanswered else Exit.DONE)
        time.sleep(every)


@dataclass(frozen=True, slots=True)
class Unlogged:
    """A signature by one of our keys that the log does not hold, and where it lies."""

    key: str
    place: str


class _Places:
    """The registries that are looked through, if any are, and what was seen there last."""

    def __init__(
        self,
        view: LogView,
        repositories: Sequence[str],
        signers: Mapping[bytes, str],
        store: bool,
        state: Path,
    ) -> None:
        self._view = view
        self._repositories = repositories
        self._signers = signers
        self._store = store
        self._names: dict[bytes, str] = {}
        self._seen: Sightings | None = None
        self.index: SignatureIndex | None = None
        if repositories or store:
            self.index = SignatureIndex(state.with_name(state.name + ".signatures"))

    def look(self) -> None:
        if self.index is None:
            return
        from service.bootstrap.local_log import signatures_at  # noqa: PLC0415 - pays for registries

        self._names = dict(self._signers) or signing_keys(self._view.service)
        self._seen = signatures_at(self._repositories, list(self._names), on_record=self._store)

    @property
    def unanswered(self) -> Sequence[str]:
        return () if self._seen is None else self._seen.unanswered

    def unlogged(self) -> list[Unlogged]:
        """Return what the log was not seen to hold; with `--store`, each as a finding."""
        if self._seen is None or self.index is None:
            return []
        found = [
            Unlogged(self._names[one.key.der], one.place)
            for one in self._seen.found
            if one.name not in self.index
        ]
        if found and self._store:
            from service.bootstrap.local_log import report_unlogged  # noqa: PLC0415 - pays for the store

            report_unlogged([(one.key, one.place) for one in found])
        return found

    def told(self, unlogged: Sequence[Unlogged]) -> dict[str, object]:
        if self._seen is None:
            return {}
        return {
            "signatures": len(self._seen.found),
            "unlogged": [{"key": one.key, "place": one.place} for one in unlogged],
            "unanswered": list(self.unanswered),
        }

    def say(self, unlogged: Sequence[Unlogged]) -> None:
        if self._seen is None:
            return
        for place in self.unanswered:
            warn(f"not looked at: {place}")
        for one in unlogged:
            warn(f"NOT in the log: a signature by {one.key} in {one.place}")
        found = len(self._seen.found)
        say(f"{found} signatures at registries, {found - len(unlogged)} of them in the log")

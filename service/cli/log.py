"""`sealwright log`: the log read by somebody who believes nothing that it says of itself."""

from __future__ import annotations

from pathlib import Path

import click

from service.cli.exits import Exit
from service.cli.log_monitor import monitor
from service.cli.log_options import audit_option, keys_option, mirror_option, refuse
from service.cli.log_view import LogView, keys_from, proof_for_index, proof_for_signature
from service.cli.output import as_json, emit, finish, say, warn
from service.cli.remote import client
from service.domain.public_keys import SignatureInvalidError
from service.translog.errors import TranslogError
from service.translog.prooffile import ProofFile


@click.group()
def log() -> None:
    """Verify, monitor and prove the transparency log; recover it (local)."""


@log.command()
@audit_option
@keys_option
@click.option(
    "--proof",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Verify a file of `log prove` instead, offline: nothing is asked, --key is needed.",
)
@click.option("--name", metavar="NAME", help="The NAME that the log must have.")
@click.option(
    "--tree", metavar="NAME", help="Verify the log of this NAME, closed though it may be."
)
@mirror_option
@click.option("--store", is_flag=True, help="Derive everything anew from the store (local).")
@as_json
def verify(
    *,
    audit: bool,
    key_files: tuple[Path, ...],
    proof: Path | None,
    name: str | None,
    tree: str | None,
    mirror: Path | None,
    store: bool,
    json_wanted: bool,
) -> None:
    """Fetch every tile and entry, hash everything anew, and hold it against the checkpoint."""
    if store:
        _verify_store(json_wanted=json_wanted)
        return
    try:
        if proof is not None:
            told = _verify_proof(proof, key_files, name)
        else:
            view = LogView(
                client(), audit=audit, keys=keys_from(key_files), mirror=mirror, tree=tree
            )
            told = view.verify(name or tree)
    except (TranslogError, SignatureInvalidError) as error:
        refuse(str(error), json_wanted=json_wanted)
    if json_wanted:
        emit(told)
        return
    for label, value in told.items():
        say(f"{label}: {value}")
    say("verified")


def _verify_proof(file: Path, key_files: tuple[Path, ...], name: str | None) -> dict[str, object]:
    if not key_files:
        raise click.UsageError("--proof needs --key: a file cannot vouch for itself")
    proof = ProofFile.parse(file.read_text(encoding="utf-8"))
    wanted = name or proof.claimed_log().origin
    failure: Exception | None = None
    for spki in keys_from(key_files):
        try:
            entry = proof.check(name=wanted, spki=spki)
        except SignatureInvalidError as error:
            failure = error
            continue
        return {
            "log": wanted,
            "index": proof.index,
            "size": proof.claimed_log().size,
            "entry": entry.decode(errors="replace"),
        }
    raise SignatureInvalidError(f"none of the keys signed the checkpoint: {failure}")


def _verify_store(*, json_wanted: bool) -> None:
    from service.bootstrap.local_log import verify_store  # noqa: PLC0415 - pays for the store

    faults = verify_store()
    if json_wanted:
        emit({"faults": faults})
    else:
        for fault in faults:
            say(f"wrong  {fault}")
        if not faults:
            say("everything in the store follows from its records")
    finish(Exit.VERDICT_IS_NO if faults else Exit.DONE)


@log.command()
@click.argument("signature", required=False)
@click.option("--index", type=click.IntRange(0), help="Prove the entry at this position instead.")
@click.option(
    "--output",
    "-o",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Where to write the proof (C2SP tlog-proof), by custom `….tlog-proof`.",
)
def prove(*, signature: str | None, index: int | None, output: Path) -> None:
    """Write one file that shows offline that SIGNATURE (its id) was logged.

    Whoever gets it verifies it with the log's public key alone, and without us.
    """
    if (signature is None) is (index is None):
        raise click.UsageError("name a SIGNATURE, or an --index")
    service = client()
    if signature is not None:
        proof = proof_for_signature(service, signature)
    else:
        proof = proof_for_index(service, index or 0)
    if proof is None:
        warn("it is not in the log yet")
        finish(Exit.UNAVAILABLE)
    output.write_text(proof.render(), encoding="utf-8")
    say(f"{output}: entry {proof.index} of {proof.claimed_log().origin}")


@log.command()
@audit_option
@click.option(
    "--tiles",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="A mirror of the log's files to take entries from. Repeatable.",
)
@click.option(
    "--repository",
    "repositories",
    multiple=True,
    metavar="HOST/PATH",
    help="A repository to take entries from: its annotations and bundles. Repeatable.",
)
@click.option(
    "--close",
    is_flag=True,
    help="End this log where the store has it, and begin a new one with another NAME.",
)
@as_json
def recover(
    *,
    audit: bool,
    tiles: tuple[Path, ...],
    repositories: tuple[str, ...],
    close: bool,
    json_wanted: bool,
) -> None:
    """Bring back what a restored database lacks of the log (local).

    Everything is put back, or nothing: only what leads to the published checkpoint. Ends with 1
    and names the missing positions where they were found nowhere.
    """
    from service.bootstrap.local_log import close_log, recover_log  # noqa: PLC0415 - pays for the store

    if close:
        moved = close_log(audit=audit)
        told: dict[str, object] = {"closed": True, "moved": moved}
        if not json_wanted:
            say(f"closed; {moved} entries go into the log that follows")
    else:
        try:
            missing, found = recover_log(audit=audit, tiles=tiles, repositories=repositories)
        except TranslogError as error:
            refuse(str(error), json_wanted=json_wanted)
        told = {"missing": missing, "found": found}
        if not json_wanted:
            if missing:
                warn(f"not found: {', '.join(map(str, missing))}")
            else:
                say(f"{found} entries put back" if found else "nothing is missing")
    if json_wanted:
        emit(told)
    finish(Exit.VERDICT_IS_NO if told.get("missing") else Exit.DONE)


log.add_command(monitor)

"""`sealwright bundle`: sigstore bundles of anybody, checked here and without a network."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import click

from service.cli.exits import Exit
from service.cli.output import as_json, emit, finish, say
from service.domain.clock import rfc3339
from service.domain.limits import MAX_SIGSTORE_BUNDLE_BYTES
from service.verification.sigstore.artifacts import Artifact
from service.verification.sigstore.certificates import Identity
from service.verification.sigstore.judge import Judgement, judge_bundle
from service.verification.sigstore.keys import VerifyingKey
from service.verification.sigstore.reasons import Refusal, RefusedError
from service.verification.sigstore.roots import MAX_ROOT_BYTES, parse_root, public_root

_DIGEST: Final = re.compile(r"sha256:([0-9a-fA-F]{64})")
_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def bundle() -> None:
    """Sigstore bundles, checked without a network."""


@bundle.command("verify")
@click.option("--bundle", "file", type=_FILE, required=True, help="The bundle.")
@click.option("--key", type=_FILE, help="The public key in PEM, of a bundle by a key.")
@click.option("--certificate-identity", metavar="ID", help="Whom the certificate must be for.")
@click.option("--certificate-oidc-issuer", metavar="URL", help="Who must vouch for the identity.")
@click.option(
    "--trusted-root",
    type=_FILE,
    help="A sigstore trusted root; without it that of sigstore's public instance.",
)
@click.argument("file_or_digest")
@as_json
def verify(
    *,
    file: Path,
    key: Path | None,
    certificate_identity: str | None,
    certificate_oidc_issuer: str | None,
    trusted_root: Path | None,
    file_or_digest: str,
    json_wanted: bool,
) -> None:
    """Check that the bundle is a good signature of FILE_OR_DIGEST (sha256:HEX).

    Exit code 1: it is refused, and the reason is told.
    """
    artifact = _artifact(file_or_digest)
    who = _who(key, certificate_identity, certificate_oidc_issuer)
    try:
        by = who if isinstance(who, Identity) else _key(who)
        root = public_root() if trusted_root is None else parse_root(_root(trusted_root))
        judged = judge_bundle(_content(file), artifact=artifact, by=by, root=root)
    except RefusedError as refused:
        _tell_refusal(refused, json_wanted=json_wanted)
        finish(Exit.VERDICT_IS_NO)
    else:
        _tell(judged, json_wanted=json_wanted)


def _who(key: Path | None, name: str | None, issuer: str | None) -> Path | Identity:
    match key, name, issuer:
        case Path() as path, None, None:
            return path
        case None, str() as subject, str() as by:
            return Identity(subject, by)
        case _:
            raise click.UsageError(
                "give either --key, or --certificate-identity and --certificate-oidc-issuer"
            )


def _artifact(text: str) -> Artifact:
    """A digest is meant where one is spelled and no file has that name."""
    path, digest = Path(text), _DIGEST.fullmatch(text)
    if digest is not None and not path.exists():
        return Artifact.of_digest(bytes.fromhex(digest[1]))
    try:
        return Artifact.of_file(path)
    except OSError as error:
        raise click.UsageError(f"{text} cannot be read: {error.strerror}") from error


def _key(path: Path) -> VerifyingKey:
    try:
        return VerifyingKey.parse_pem(path.read_bytes())
    except ValueError as error:
        raise RefusedError(Refusal.KEY_MALFORMED, f"{path}: {error}"[:500]) from error


def _content(path: Path) -> bytes:
    return _bounded(path, MAX_SIGSTORE_BUNDLE_BYTES, Refusal.BUNDLE_MALFORMED)


def _root(path: Path) -> bytes:
    return _bounded(path, MAX_ROOT_BYTES, Refusal.TRUSTED_ROOT_MALFORMED)


def _bounded(path: Path, most: int, refusal: Refusal) -> bytes:
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise RefusedError(refusal, f"{path} has more than {most} bytes")
    return content


def _tell(judged: Judgement, *, json_wanted: bool) -> None:
    times = [rfc3339(moment) for moment in judged.times]
    predicate = None if judged.statement is None else judged.statement.unverified_predicate_type
    if json_wanted:
        answer: dict[str, Any] = {"verdict": "verified", "reason": None}
        emit({**answer, "times": times, "predicate_type": predicate})
        return
    say("verified")
    for moment in times:
        say(f"  signed by {moment}")
    if predicate is not None:
        say(f"  predicate type {predicate}")


def _tell_refusal(refused: RefusedError, *, json_wanted: bool) -> None:
    if json_wanted:
        reason = {"code": str(refused.code), "text": str(refused)}
        emit({"verdict": "rejected", "reason": reason, "times": [], "predicate_type": None})
        return
    say(f"rejected  {refused} ({refused.code})")

"""Whether a trusted log holds an entry: its promise (SET), its inclusion proof, its checkpoint.

Everything is checked that is there. A proof is mandatory, but for bundles of version 0.1, whose
promise alone counts. Only a promise binds the time of an entry, and only of Rekor v1's kinds.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from service.translog.checkpoints import Checkpoint
from service.translog.errors import MalformedError, ProofInvalidError
from service.translog.logged import promise_message
from service.translog.merkle import leaf_hash, root_from_inclusion
from service.translog.notes import Note
from service.verification.sigstore.documents import UnverifiedEntry, UnverifiedProof
from service.verification.sigstore.keys import WrongSignatureError
from service.verification.sigstore.reasons import Refusal, RefusedError
from service.verification.sigstore.roots import Log, TrustedRoot

_LATEST: Final = int(datetime(9999, 1, 1, tzinfo=UTC).timestamp())
_REKOR_V1: Final = frozenset(
    {("hashedrekord", "0.0.1"), ("dsse", "0.0.1"), ("intoto", "0.0.1"), ("intoto", "0.0.2")}
)
_TREE: Final = " - "
"""What stands between name and tree in the origin of Rekor v1."""


def check_entry(entry: UnverifiedEntry, root: TrustedRoot, *, version: int) -> datetime | None:
    """Check that a trusted log holds the entry, and return the time that the log promised.

    Raises RefusedError.
    """
    logs = [log for log in root.logs if log.log_id == entry.log_id]
    if not logs:
        raise RefusedError(
            Refusal.LOG_UNTRUSTED, f"the trusted root knows no log {entry.log_id.hex()[:64]}"
        )
    promised = _promised(entry, logs)
    if entry.proof is not None:
        _check_proof(entry, entry.proof, logs)
    elif version > 1 or promised is None:
        raise RefusedError(Refusal.INCLUSION_PROOF_MISSING, "the log entry has no inclusion proof")
    if version == 1 and promised is None:
        raise RefusedError(Refusal.PROMISE_MISSING, "a bundle of version 0.1 needs a promise")
    return promised


def _promised(entry: UnverifiedEntry, logs: list[Log]) -> datetime | None:
    if entry.promise is None:
        return None
    if not 0 < entry.integrated_time < _LATEST or (entry.kind, entry.version) not in _REKOR_V1:
        raise RefusedError(Refusal.PROMISE_INVALID, "the log's promise tells no time, or cannot")
    message = promise_message(
        entry.body,
        index=entry.index,
        log_id=entry.log_id,
        integrated_time=entry.integrated_time,
    )
    moment = datetime.fromtimestamp(entry.integrated_time, UTC)
    signers = [log for log in logs if _verifies(log, message, entry.promise)]
    if not signers:
        raise RefusedError(Refusal.PROMISE_INVALID, "the log has not signed the promise (SET)")
    if not any(log.valid.covers(moment) for log in signers):
        raise RefusedError(
            Refusal.LOG_KEY_OUT_OF_TIME, f"the log's key is not trusted at {moment.isoformat()}"
        )
    return moment


def _check_proof(entry: UnverifiedEntry, proof: UnverifiedProof, logs: list[Log]) -> None:
    try:
        implied = root_from_inclusion(
            leaf_hash(entry.body), index=proof.index, size=proof.size, proof=proof.hashes
        )
    except ProofInvalidError as error:
        raise RefusedError(Refusal.INCLUSION_PROOF_INVALID, str(error)) from error
    if implied != proof.root:
        raise RefusedError(
            Refusal.INCLUSION_PROOF_INVALID, "the inclusion proof leads to another root"
        )
    checkpoint = _checkpoint(proof.checkpoint, logs)
    if (checkpoint.root, checkpoint.size) != (proof.root, proof.size):
        raise RefusedError(
            Refusal.CHECKPOINT_MISMATCHED, "the checkpoint is of another tree than the proof"
        )


def _checkpoint(envelope: str, logs: list[Log]) -> Checkpoint:
    """Return the checkpoint, once a line by the log itself has been checked; others are ignored."""
    try:
        note = Note.parse(envelope)
        checkpoint = Checkpoint.parse(note.unverified_text)
    except MalformedError as error:
        raise RefusedError(Refusal.CHECKPOINT_MALFORMED, str(error)) from error
    name, of_rekor_v1, _ = checkpoint.origin.partition(_TREE)
    text = note.unverified_text.encode()
    found = [
        (log, line.signature)
        for log in logs
        # Rekor v2's clients tell logs apart by their host; v1 signs under whatever name it has.
        if of_rekor_v1 or log.host == name
        for line in note.signatures
        if line.name == name and line.key_id == log.hint
    ]
    if not found:
        raise RefusedError(
            Refusal.CHECKPOINT_UNTRUSTED, "the checkpoint is not signed by the entry's log"
        )
    if not any(_verifies(log, text, signature) for log, signature in found):
        raise RefusedError(Refusal.CHECKPOINT_INVALID, "the checkpoint's signature is wrong")
    return checkpoint


def _verifies(log: Log, message: bytes, signature: bytes) -> bool:
    try:
        log.key.verify(message, signature)
    except WrongSignatureError:
        return False
    return True

"""Step 10 of the signing cycle: what is on record gets its proof, or does not leave."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from service.domain.clock import Clock
from service.domain.errors import LogRolledBackError, LogUnavailableError, ServiceError
from service.domain.keys import Scheme
from service.domain.limits import WAIT_FOR_LOG_SECONDS
from service.domain.log import AdditionKind, LogName, LogProof, Promise
from service.domain.signing import Signature
from service.operations.log.extend import ExtendLog
from service.operations.log.heads import SignHeads
from service.operations.log.names import LogNames
from service.operations.log.proofs import ProveEntries
from service.operations.log.rollback import RollbackGuard
from service.ports.log import LogWriter
from service.translog.logged import log_id, promise_message
from service.translog.rekor import rekord

LOG: Final = LogName.SIGNATURES
CHECK_SECONDS: Final = 2.0  # whoever asks whether we are ready does not wait for longer


class SignatureLog:
    """What a process has of the log `signatures`. May be used by several threads at once."""

    def __init__(
        self,
        *,
        names: LogNames,
        writer: LogWriter,
        extend: ExtendLog,
        prove: ProveEntries,
        sign: SignHeads,
        guard: RollbackGuard,
        clock: Clock,
    ) -> None:
        self.names: Final = names
        self.writer: Final = writer
        self.extend: Final = extend
        self.prove: Final = prove
        self.sign: Final = sign
        self.guard: Final = guard
        self._clock: Final = clock
        self._was_checked = False  # a second thread that checks again does no harm

    def require(self, *, seconds: float = WAIT_FOR_LOG_SECONDS) -> None:
        """Return unless it is known that nothing could be logged: then nothing is signed either.

        What failed is tried again, so that signing goes on as soon as it can.

        Raises:
            LogUnavailableError, LogRolledBackError, StoreUnavailableError.
        """
        if not self._was_checked:
            self.guard.check(LOG)
            self._was_checked = True
        if self.extend.has_failed(LOG):
            self.extend(LOG, seconds=seconds)

    def check(self) -> None:
        """Return if the log could be extended now, as far as can be told without doing so.

        Raises:
            LogUnavailableError, LogRolledBackError, StoreUnavailableError.
        """
        self.require(seconds=CHECK_SECONDS)
        self.guard.check(LOG)
        tree = self.names.tree(LOG)
        if tree is not None:
            self.sign.newest(tree.key)

    def proven(
        self, signatures: Sequence[Signature], *, are_new: bool
    ) -> Sequence[Signature | ServiceError]:
        """Return the signatures with their proofs, in order, or what kept one from being proven.

        Where there is no log they are returned as they are. `are_new` saves a look for the
        proofs of what has only just been recorded.

        Raises:
            StoreUnavailableError
        """
        ids = [signature.id for signature in signatures]
        proofs: Mapping[str, LogProof] = {} if are_new else self.prove(ids)
        missing: ServiceError = LogUnavailableError("the entry is not in the log yet")
        if any(one not in proofs for one in ids):
            try:
                if not self.extend(LOG, seconds=WAIT_FOR_LOG_SECONDS):
                    return signatures
                proofs = self.prove(ids)
            except (LogUnavailableError, LogRolledBackError) as error:
                missing = error
        return [
            replace(one, log=proofs[one.id]) if one.id in proofs else missing for one in signatures
        ]

    def ready_to_leave(
        self, signatures: Sequence[Signature], *, as_sig: bool
    ) -> Sequence[Signature]:
        """Return the signatures with all that their attachments carry of the log.

        In a `.sig` that is a promise, and for an Ed25519 key a second entry with another.

        Raises:
            LogUnavailableError: they may not leave now.
            StoreUnavailableError
        """
        try:
            return self._ready_to_leave(signatures, as_sig=as_sig)
        except LogRolledBackError as error:
            # A person has to decide; until then it is tried again, and not parked.
            raise LogUnavailableError(str(error)) from error

    def _ready_to_leave(
        self, signatures: Sequence[Signature], *, as_sig: bool
    ) -> Sequence[Signature]:
        bare = [signature for signature in signatures if signature.log is None]
        proven = {one.id: one for one in signatures if one.log is not None}
        for one, result in zip(bare, self.proven(bare, are_new=False) if bare else (), strict=True):
            if isinstance(result, ServiceError):
                raise result
            proven[one.id] = result
        leaving = [proven[signature.id] for signature in signatures]
        if not as_sig or any(one.log is None for one in leaving):
            return leaving
        return [self._promised(one) for one in leaving]

    def _promised(self, signature: Signature) -> Signature:
        if signature.log is None:
            return signature
        signature = replace(signature, log=self.promised(signature.log))
        if signature.scheme is Scheme.ED25519:
            signature = replace(signature, second_log=self.promised(self._second(signature)))
        return signature

    def _second(self, signature: Signature) -> LogProof:
        """Return the proof of the entry `rekord`, made now unless there is one."""
        identity = f"second {signature.id}"
        found = self.prove.additions([identity]).get(identity)
        if found is None:
            entry = rekord(signature.payload, signature.signature, signature.public_key)
            self.writer.add(AdditionKind.SECOND, identity, entry)
            self.extend(LOG, seconds=WAIT_FOR_LOG_SECONDS)
            found = self.prove.additions([identity]).get(identity)
        if found is None:
            raise LogUnavailableError("the second entry is not in the log yet")
        return found

    def promised(self, proof: LogProof) -> LogProof:
        """Return the proof with a signed entry timestamp, made now unless there is one.

        Raises:
            LogUnavailableError
        """
        if proof.promise is not None:
            return proof
        tree = self.names.tree(LOG)
        if tree is None:
            raise LogUnavailableError("there is no log")
        version = self.sign.newest(tree.key)
        # A verifier takes no time before the key's own, whatever two clocks say; and nothing is
        # promised for a time before it was logged.
        seconds = max(
            int(self._clock.now().timestamp()),
            math.ceil(version.created_at.timestamp()),
            proof.integrated_time,
        )
        identity = log_id(version.public_key)
        message = promise_message(
            proof.entry, index=proof.index, log_id=identity, integrated_time=seconds
        )
        made = Promise(seconds, self.sign.sign_by(version, message), identity)
        kept = self.writer.promise(proof.tree_id, proof.index, version, made)
        return replace(proof, promise=kept)

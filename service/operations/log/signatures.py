"""Step 10 of the signing cycle: what is on record gets its proof, or does not leave."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from service.domain.clock import Clock
from service.domain.errors import LogUnavailableError, ServiceError
from service.domain.limits import WAIT_FOR_LOG_SECONDS
from service.domain.log import LogName, LogProof, Promise
from service.domain.signing import Signature
from service.operations.log.extend import ExtendLog
from service.operations.log.heads import SignHeads
from service.operations.log.names import LogNames
from service.operations.log.proofs import ProveEntries
from service.operations.log.rollback import RollbackGuard
from service.ports.log import LogWriter
from service.translog.logged import log_id, promise_message

LOG: Final = LogName.SIGNATURES


@dataclass(frozen=True, slots=True)
class SignatureLog:
    names: LogNames
    writer: LogWriter
    extend: ExtendLog
    prove: ProveEntries
    sign: SignHeads
    guard: RollbackGuard
    clock: Clock

    def require(self) -> None:
        """Return unless it is known that nothing could be logged: then nothing is signed either.

        Raises:
            LogUnavailableError, LogRolledBackError.
        """
        if self.extend.has_failed(LOG):
            self.extend(LOG, seconds=WAIT_FOR_LOG_SECONDS)

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
        if any(one not in proofs for one in ids):
            try:
                if not self.extend(LOG, seconds=WAIT_FOR_LOG_SECONDS):
                    return signatures
            except ServiceError as error:
                return [
                    replace(one, log=proofs[one.id]) if one.id in proofs else error
                    for one in signatures
                ]
            proofs = self.prove(ids)
        return [
            replace(one, log=proofs[one.id])
            if one.id in proofs
            else LogUnavailableError("the entry is not in the log yet")
            for one in signatures
        ]

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
        # A verifier takes no time before the key's own, whatever two clocks say.
        seconds = max(int(self.clock.now().timestamp()), math.ceil(version.created_at.timestamp()))
        identity = log_id(version.public_key)
        message = promise_message(
            proof.entry, index=proof.index, log_id=identity, integrated_time=seconds
        )
        made = Promise(seconds, self.sign.sign_by(version, message), identity)
        kept = self.writer.promise(proof.tree_id, proof.index, version, made)
        return replace(proof, promise=kept)

"""Puts the transparency logs together."""

from __future__ import annotations

from service.bootstrap.settings import Settings
from service.domain.clock import Clock
from service.operations.fanout import Fanout
from service.operations.log import (
    CollectCosignatures,
    ExtendLog,
    LogNames,
    ProveEntries,
    RollbackGuard,
    SignatureLog,
    SignHeads,
)
from service.ports.hsm import Signer
from service.store import Store
from service.witnesses import CheckpointFiles, WitnessHTTP, load_witnesses


def build_witnessing(settings: Settings, store: Store, clock: Clock) -> CollectCosignatures:
    """Raises ConfigurationError: the witnesses file is wrong."""
    file = settings.witnesses_file
    witnesses = [] if file is None else [WitnessHTTP(one, clock) for one in load_witnesses(file)]
    return CollectCosignatures(
        witnesses,
        store.log_reader,
        store.cosignatures,
        findings=store.findings,
        fanout=Fanout(max(len(witnesses), 1)),
        clock=clock,
    )


def build_log(settings: Settings, store: Store, signer: Signer, clock: Clock) -> SignatureLog:
    names = LogNames(store.log_writer, store.log_reader, store.keys, settings.log_name)
    sign = SignHeads(store.keys, signer)
    guard = RollbackGuard(
        writer=store.log_writer,
        reader=store.log_reader,
        keeper=CheckpointFiles(settings.checkpoints_dir),
    )
    return SignatureLog(
        names=names,
        writer=store.log_writer,
        extend=ExtendLog(names=names, writer=store.log_writer, sign=sign, guard=guard, clock=clock),
        prove=ProveEntries(store.log_reader),
        sign=sign,
        guard=guard,
        clock=clock,
    )

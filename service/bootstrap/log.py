"""Puts the transparency logs together."""

from __future__ import annotations

from service.bootstrap.settings import Settings
from service.domain.clock import Clock
from service.operations.log import (
    ExtendLog,
    LogNames,
    ProveEntries,
    RollbackGuard,
    SignatureLog,
    SignHeads,
)
from service.ports.hsm import Signer
from service.store import Store
from service.witnesses import CheckpointFiles


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

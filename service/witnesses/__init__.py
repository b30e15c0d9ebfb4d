"""What remembers the logs' checkpoints outside the store: a directory, and witnesses."""

from service.witnesses.config import WitnessConfig, load_witnesses, parse_witnesses
from service.witnesses.files import CheckpointFiles
from service.witnesses.http import WitnessHTTP

__all__ = [
    "CheckpointFiles",
    "WitnessConfig",
    "WitnessHTTP",
    "load_witnesses",
    "parse_witnesses",
]

"""What remembers the logs' checkpoints outside the store."""

from service.witnesses.files import CheckpointFiles

__all__ = ["CheckpointFiles"]

"""The names of all signatures that a log was seen to hold, in a file beside a monitor's state.

The file has one name of 32 bytes for each entry, in order. It is no evidence: whatever it lacks is
read from the log again, so it may be deleted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from service.translog.signatures import NAME_BYTES, name_in


@dataclass(slots=True)
class SignatureIndex:
    file: Path
    _names: set[bytes] = field(default_factory=set)
    _new: list[bytes] = field(default_factory=list)

    def load(self, size: int) -> bool:
        """Read the names of the first `size` entries; False where the file has fewer."""
        self._names.clear()
        self._new.clear()
        content = self.file.read_bytes() if self.file.exists() else b""
        wanted = size * NAME_BYTES
        if len(content) < wanted:
            self.file.unlink(missing_ok=True)
            return False
        if len(content) > wanted:
            # Written before a state that never came.
            with self.file.open("r+b") as stream:
                stream.truncate(wanted)
        self._names.update(content[at : at + NAME_BYTES] for at in range(0, wanted, NAME_BYTES))
        return True

    def add(self, entry: bytes) -> None:
        self._new.append(name_in(entry))

    def save(self) -> None:
        """Write what was added: once the entries are known to be the log's, and before its state."""
        with self.file.open("ab") as stream:
            stream.write(b"".join(self._new))
        self._names.update(self._new)
        self._new.clear()

    def __contains__(self, name: bytes) -> bool:
        return name in self._names

"""How long a plug-in takes to start, held against an interpreter that does nothing.

cosign starts its plug-in five times for a signature, so that this is what its users feel.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

PROGRAMS: Final = ("sigstore-kms-sealwright", "notation-sealwright")
ROUNDS: Final = 5


@dataclass(frozen=True, slots=True)
class Start:
    """Medians of wall time. A plug-in without arguments loads everything and says how it is used."""

    program: str
    seconds: float
    bare: float

    @property
    def ratio(self) -> float:
        return self.seconds / self.bare

    def line(self) -> str:
        return (
            f"{self.program} starts in {self.seconds * 1e3:.0f} ms: {self.ratio:.1f} of "
            f"`python -c pass` ({self.bare * 1e3:.0f} ms)"
        )


def starts(rounds: int = ROUNDS) -> Sequence[Start]:
    """Measure each program and the bare interpreter in turn."""
    scripts = Path(sys.executable).parent
    words = {"": [sys.executable, "-c", "pass"]}
    words |= {program: [str(scripts / program)] for program in PROGRAMS}
    spent: dict[str, list[float]] = {name: [] for name in words}
    for _ in range(rounds):
        for name, command in words.items():
            began = time.perf_counter()
            subprocess.run(command, capture_output=True, check=False)
            spent[name].append(time.perf_counter() - began)
    bare = median(spent[""])
    return [Start(program, median(spent[program]), bare) for program in PROGRAMS]

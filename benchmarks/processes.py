"""What the kernel says of processes (proc(5)): who descends from whom, CPU time, memory."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")
TICKS: Final = os.sysconf("SC_CLK_TCK")
CORES: Final = os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class Process:
    pid: int
    parent: int
    command: str
    cpu_seconds: float


def look(pid: int) -> Process | None:
    """Return a process, or None if it is gone."""
    try:
        stat = (PROC / str(pid) / "stat").read_text()
        command = (PROC / str(pid) / "cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name in brackets may hold anything, so the fields are counted from behind it.
    fields = stat.rpartition(")")[2].split()
    used = (int(fields[11]) + int(fields[12])) / TICKS
    return Process(pid, int(fields[1]), command.replace(b"\0", b" ").decode().strip(), used)


def descendants(root: int) -> Sequence[Process]:
    """Return every process that `root` started, and those that these started."""
    numbers = [int(entry.name) for entry in PROC.iterdir() if entry.name.isdecimal()]
    everything = [process for number in numbers if (process := look(number)) is not None]
    known = {root}
    family: list[Process] = []
    while added := [p for p in everything if p.parent in known and p.pid not in known]:
        known.update(p.pid for p in added)
        family += added
    return family


def resident_bytes(pid: int) -> int:
    """Return VmRSS: what of the process lies in memory, shared pages included."""
    for line in (PROC / str(pid) / "status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "VmRSS":
            return int(value.split()[0]) * 1024
    raise ProcessLookupError(f"process {pid} has ended")


def proportional_bytes(pid: int) -> int:
    """Return Pss: as VmRSS, but of pages that several processes share only this one's part."""
    for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "Pss":
            return int(value.split()[0]) * 1024
    raise ProcessLookupError(f"process {pid} has ended")


def busy_seconds() -> float:
    """Return the CPU time that all processes of the machine have used, and what was stolen."""
    fields = [int(field) for field in (PROC / "stat").read_text().splitlines()[0].split()[1:9]]
    user, nice, system, _idle, _waiting, irq, softirq, steal = fields
    return (user + nice + system + irq + softirq + steal) / TICKS


@dataclass(frozen=True, slots=True)
class Meter:
    """A reading of clocks; two of them make a `Split`."""

    at: float
    own: float
    workers: tuple[float, ...]
    registry: float
    busy: float

    @classmethod
    def read(cls, workers: Sequence[int], registries: Sequence[int]) -> Meter:
        return cls(
            time.perf_counter(),
            time.process_time(),
            tuple(_used(pid) for pid in workers),
            sum(_used(pid) for pid in registries),
            busy_seconds(),
        )


@dataclass(frozen=True, slots=True)
class Split:
    """Where the cores were between two readings, each as a number of cores."""

    workers: tuple[float, ...]
    registry: float
    generator: float
    others: float
    idle: float

    @classmethod
    def between(cls, first: Meter, last: Meter) -> Split:
        seconds = max(last.at - first.at, 1 / TICKS)
        workers = tuple((b - a) / seconds for a, b in zip(first.workers, last.workers, strict=True))
        registry = (last.registry - first.registry) / seconds
        generator = (last.own - first.own) / seconds
        busy = (last.busy - first.busy) / seconds
        others = max(0.0, busy - sum(workers) - registry - generator)
        return cls(workers, registry, generator, others, max(0.0, CORES - busy))


def _used(pid: int) -> float:
    found = look(pid)
    return 0.0 if found is None else found.cpu_seconds

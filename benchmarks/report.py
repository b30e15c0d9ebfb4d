"""The table, and the same as JSON. It judges no time: a row that falls short says why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from benchmarks.rows import Result
from benchmarks.starts import Start


@dataclass(frozen=True, slots=True)
class Target:
    name: str
    ceiling: str
    at_least: float


BATCH: Final = Target("batch of 1,000, 4 clients, verified and on record", "COMP", 0.55)
SINGLE: Final = Target("one signature a request, 16 connections", "an empty answer", 0.20)
ATTACH: Final = Target("sign and attach 100 images, one request", "bare uploads, 8 threads", 0.80)
TARGETS: Final = (BATCH, SINGLE, ATTACH)
MAX_WORKER_MEBIBYTES: Final = 100.0


@dataclass(frozen=True, slots=True)
class Row:
    target: Target
    results: Sequence[Result]

    @property
    def ratio(self) -> float:
        return median(result.ratio for result in self.results)

    @property
    def falls_short(self) -> bool:
        return self.ratio < self.target.at_least

    @property
    def reason(self) -> str:
        """Return what the round said whose ratio is nearest to the median."""
        return min(self.results, key=lambda result: abs(result.ratio - self.ratio)).reason


@dataclass(frozen=True, slots=True)
class Report:
    """`mebibytes` is the largest worker after each round; `proportional` the same with the
    pages that it shares with gunicorn's master and its siblings divided among them."""

    rows: Sequence[Row]
    mebibytes: Sequence[float]
    starts: Sequence[Start] = ()
    proportional: Sequence[float] = ()

    def lines(self) -> Sequence[str]:
        rounds = len(self.mebibytes)
        out = [
            f"Ratios within a round: median of {rounds} (least to greatest).",
            f"{'':50} {'held against':26} {'ratio':>20}  {'target':>9}",
        ]
        for row in self.rows:
            ratios = [result.ratio for result in row.results]
            spread = f"{row.ratio:.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
            out.append(
                f"{row.target.name:50} {row.target.ceiling:26} {spread:>20}"
                f"  ≥ {row.target.at_least:7.2f}  {'short' if row.falls_short else 'reached'}"
            )
        memory = f"{max(self.mebibytes):.0f} MiB"
        large = self._too_large()
        out.append(
            f"{'memory of the largest worker, after the load':50} {'':26} {memory:>20}"
            f"  ≤ {MAX_WORKER_MEBIBYTES:7.0f}  {'short' if large else 'reached'}"
        )
        out += [
            f"\n{'Short' if row.falls_short else 'In'}: {row.target.name}: {row.reason}."
            for row in self.rows
        ]
        if large:
            readings = ", ".join(f"{value:.0f}" for value in self.mebibytes)
            out.append(f"\nShort: memory: {readings} MiB after the rounds.")
            if self.proportional:
                out[-1] += (
                    f" With shared pages in proportion it is {max(self.proportional):.0f}: the "
                    "modules are imported once, before the workers are forked."
                )
        if self.starts:
            out += ["", *(start.line() for start in self.starts)]
        return out

    def as_json(self) -> Mapping[str, Any]:
        return {
            "rounds": len(self.mebibytes),
            "rows": [_row(row) for row in self.rows],
            "worker_mebibytes": {
                "at_most": MAX_WORKER_MEBIBYTES,
                "after_each_round": list(self.mebibytes),
                "with_shared_pages_in_proportion": list(self.proportional),
                "falls_short": self._too_large(),
            },
            "plugins": [
                {"program": start.program, "seconds": start.seconds, "of_bare": start.ratio}
                for start in self.starts
            ],
        }

    def _too_large(self) -> bool:
        return max(self.mebibytes) > MAX_WORKER_MEBIBYTES


def _row(row: Row) -> Mapping[str, Any]:
    return {
        "name": row.target.name,
        "ceiling": row.target.ceiling,
        "at_least": row.target.at_least,
        "ratio": row.ratio,
        "falls_short": row.falls_short,
        "reason": row.reason,
        "rounds": [
            {
                "ratio": result.ratio,
                "ours_per_second": result.ours,
                "ceiling_per_second": result.ceiling,
                **result.figures,
            }
            for result in row.results
        ],
    }

"""`python -m benchmarks`: start the product, measure it in rounds, print ratios, end it.

Exits 0 whatever the ratios are, and 1 only if something did not work: what a machine reaches
is a fact to be told, not a test to be passed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks import product
from benchmarks.calls import API
from benchmarks.ceilings import BenchmarkError, compile_raw
from benchmarks.report import ATTACH, BATCH, SINGLE, Report, Row
from benchmarks.rows import Bench, Result, Times
from benchmarks.starts import starts

ROUNDS: Final = 3
MAX_SECONDS: Final = 170.0  # no round is begun that would probably end later
TINY: Final = Times(ceiling=0.1, batch=0.5, single=0.3, warm_up=0.1, images=8)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Throughput, as ratios to ceilings measured in the same round.",
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="(default: %(default)s)")
    parser.add_argument(
        "--max-seconds",
        type=float,
        default=MAX_SECONDS,
        help="begin no round that would end later (default: %(default)s)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there too")
    parser.add_argument(
        "--tiny", action="store_true", help="see that it works; the ratios mean nothing"
    )
    given = parser.parse_args(arguments)
    if given.rounds < 1:
        parser.error("at least one round")
    try:
        report = measure(
            given.rounds, TINY if given.tiny else Times(), max_seconds=given.max_seconds
        )
    except BenchmarkError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    print("\n".join(report.lines()))
    if given.json is not None:
        given.json.write_text(json.dumps(report.as_json(), indent=1) + "\n", encoding="utf-8")
    return 0


def measure(rounds: int, times: Times, *, max_seconds: float) -> Report:
    """Run the rounds.

    Raises:
        BenchmarkError: something did not work.
    """
    began = time.monotonic()
    batch: list[Result] = []
    single: list[Result] = []
    attach: list[Result] = []
    memory: list[float] = []
    proportional: list[float] = []
    with TemporaryDirectory(prefix="sealwright-bench-") as directory:
        program = compile_raw(Path(directory))
        with product.running(Path(directory) / "state") as started:
            bench = Bench(started, API(started), program, times)
            longest = 0.0
            for number in range(rounds):
                spent = time.monotonic() - began
                if number and spent + longest > max_seconds:
                    _progress(f"stopped after {number} rounds: {spent:.0f} s have passed")
                    break
                if number:
                    # The outbox still looks after what the last round attached.
                    bench.api.settle()
                batch.append(bench.batch())
                single.append(bench.single())
                attach.append(bench.attach(f"bench/round-{number}"))
                memory.append(bench.memory())
                proportional.append(bench.proportional_memory())
                longest = max(longest, time.monotonic() - began - spent)
                _progress(
                    f"round {number + 1}: {batch[-1].ratio:.2f} of COMP, {single[-1].ratio:.2f} of "
                    f"an empty answer, {attach[-1].ratio:.2f} of bare uploads"
                )
    rows = (Row(BATCH, batch), Row(SINGLE, single), Row(ATTACH, attach))
    return Report(rows, memory, starts(), proportional)


def _progress(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())

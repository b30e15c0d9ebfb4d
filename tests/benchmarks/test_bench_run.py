"""`python -m benchmarks` from its first line to its last, on the product itself."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_tiny_run_measures_every_row_and_leaves_nothing_behind(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--tiny", "--rounds", "1", "--json", str(figures)],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin:/usr/sbin", "TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(figures.read_text())
    assert len(told["rows"]) == 3
    for row in told["rows"]:
        assert row["ratio"] > 0
        assert row["reason"]
        assert row["name"] in done.stdout
    assert told["worker_mebibytes"]["after_each_round"][0] > 0
    assert len(told["plugins"]) == 2
    for start in told["plugins"]:
        assert start["of_bare"] > 0
        assert f"{start['program']} starts in" in done.stdout
    assert list(temporary.iterdir()) == []

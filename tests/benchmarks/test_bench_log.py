"""The benchmark of the log does what it says, in small."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import log


def test_it_measures_at_each_size_and_tells_where_time_ran_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "figures.json"
    words = ["--sizes", "300", "70000", "--max-seconds", "0", "--seconds", "0.05"]
    assert log.main([*words, "--json", str(file)]) == 0
    small, large = json.loads(file.read_text())
    assert small["size"] == 300
    assert small["size"] < large["size"] < 70_000
    assert "time ran out" in capsys.readouterr().out
    assert log.main(["--sizes", "600", "--seconds", "0.05", "--json", str(file)]) == 0
    (one,) = json.loads(file.read_text())
    assert one["size"] == 600
    assert all(one[name] > 0 for name in one)
    assert "at       600 entries: append" in capsys.readouterr().out


def test_a_log_has_at_least_one_entry() -> None:
    with pytest.raises(SystemExit):
        log.main(["--sizes", "0"])

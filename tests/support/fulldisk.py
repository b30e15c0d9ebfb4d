"""A disk that gets full and has space again: `fulldisk.c`, built here and preloaded."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).with_suffix(".c")


@dataclass(frozen=True)
class FullDisk:
    library: Path
    flag: Path

    @property
    def environment(self) -> Mapping[str, str]:
        """What a process needs to have such a disk."""
        return {"LD_PRELOAD": str(self.library), "FULL_DISK_FLAG": str(self.flag)}

    @contextmanager
    def full(self, *beginnings: Path) -> Iterator[None]:
        """Let there be no room for files whose paths begin so."""
        new = self.flag.with_suffix(".new")
        new.write_text("".join(f"{path}\n" for path in beginnings))
        new.replace(self.flag)
        try:
            yield
        finally:
            self.flag.unlink()


def build(directory: Path) -> FullDisk:
    compiler = shutil.which("cc") or shutil.which("gcc")
    assert compiler is not None, "not installed: scripts/system-packages test (a C compiler)"
    built = directory / "fulldisk.so"
    options = ["-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    subprocess.run([compiler, *options, "-o", built, SOURCE, "-ldl"], check=True)
    return FullDisk(built, directory / "full")

"""`sealwright serve` beside a product: another process on its database."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import urllib3

from tests.support.ports import free_port
from tests.support.product import START_SECONDS, Product


@contextmanager
def serving(
    product: Product,
    directory: Path,
    env: Mapping[str, str],
    *words: str,
    ready: str = "/readyz?for=sign",
) -> Iterator[tuple[Product, subprocess.Popen[bytes]]]:
    """Start it, wait until `ready` answers 200, and end it if it still runs."""
    port = free_port()
    settings = {
        "PATH": os.environ["PATH"],
        **env,
        "SEALWRIGHT_BIND": f"127.0.0.1:{port}",
        "SEALWRIGHT_WORKERS": "1",
        "SEALWRIGHT_METRICS_DIR": str(directory / "metrics"),
    }
    program = str(Path(sys.executable).with_name("sealwright"))
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen([program, "serve", *words], env=settings, stdout=log, stderr=log)
    started = replace(product, url=f"http://127.0.0.1:{port}", pid=process.pid)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _answers(started, ready):
            assert process.poll() is None, (directory / "log").read_text()
            assert time.monotonic() < deadline, (directory / "log").read_text()
            time.sleep(0.1)
        yield started, process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _answers(started: Product, path: str) -> bool:
    try:
        return started.call("GET", path, who=None).status == 200
    except urllib3.exceptions.HTTPError:
        return False

"""`make demo`: sign a real image in an HSM, let others judge it, tamper with a copy.

Everything is real: SoftHSM over PKCS#11, docker-registry, gunicorn, and the clients of others
that this machine has. Each step prints a line; the last one is PASS, or the demo fails.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

from scripts.demo.judges import find_judges
from scripts.demo.story import tell_the_story
from scripts.demo.telling import DemoFailure, say
from tests.support.product import start_dev, stop_dev


def main() -> int:
    begun = time.monotonic()
    # Short, because podman takes no path of its own longer than 50 characters.
    with tempfile.TemporaryDirectory(prefix="demo-") as directory:
        work = Path(directory)
        say("starting", "sealwright dev: SoftHSM token, database, registry, service")
        process, product = start_dev(work / "state")
        try:
            judges = find_judges(work, need_all=bool(os.environ.get("SEALWRIGHT_DEMO_NEEDS_ALL")))
            tell_the_story(product, judges, work)
        except DemoFailure as failure:
            print(f"FAIL: {failure}")
            return 1
        finally:
            ended = stop_dev(process)
        if ended != 0:
            print(f"FAIL: sealwright dev ended with {ended}")
            return 1
    print(f"PASS ({time.monotonic() - begun:.0f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())

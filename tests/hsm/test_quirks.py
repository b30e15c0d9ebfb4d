"""The quirks table: rows add up, and what it does not name is as the standard has it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from pkcs11 import Attribute

from hsm.quirks import ROWS, quirks, wanted_init_args

ROOT = Path(__file__).parents[2]
NSS = Path("/usr/lib/x86_64-linux-gnu/libsoftokn3.so")

LOAD = """
import sys
from pathlib import Path
import hsm
try:
    hsm.slots(Path(sys.argv[1]))
except hsm.HSMError as error:
    print(error.code, error)
"""


def test_an_unknown_vendor_has_no_quirks() -> None:
    unknown = quirks(library="Acme", maker="Acme Corp.")
    assert (unknown.vendor, unknown.not_sent, unknown.one_at_a_time) == ("", frozenset(), False)
    assert not unknown.differences
    assert wanted_init_args(Path("/opt/acme.so")) is None


def test_the_rows_of_a_module_and_of_a_token_behind_it_add_up() -> None:
    both = quirks(library="PKCS#11 Kit", maker="IBM Corp.")
    assert both.vendor == "p11-kit remoting + opencryptoki"
    assert Attribute.COPYABLE in both.not_sent
    assert both.one_at_a_time
    assert "serial" in both.differences


def test_no_two_rows_fit_the_same_maker_or_library() -> None:
    makers = [maker for row in ROWS for maker in row.makers]
    libraries = [library for row in ROWS for library in row.libraries]
    assert len(makers) == len(set(makers))
    assert len(libraries) == len(set(libraries))


def test_a_module_that_wants_init_args_says_so_where_it_has_none() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(NSS)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("module-load the PKCS#11 module libsoftokn3.so cannot be loaded")
    assert "configdir=" in done.stdout

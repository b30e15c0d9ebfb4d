"""Every client on every case of every format that it reads: what the compatibility matrix is made of.

`make matrix` writes docs/compatibility.md from what these runs recorded.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.conformance.consumers import Judge, judges
from tests.conformance.scenarios import Scenarios, Site
from tests.support.cosign import Cosign
from tests.support.matrix import (
    ACCEPTS,
    BY_ITS_FILE,
    CELLS,
    FORMATS,
    REFUSES,
    UNTIL_EXPORT,
    Cell,
    Consumer,
    Record,
)

EXPECTED = {
    "signed": ACCEPTS,
    "unsigned": REFUSES,
    "other-key": REFUSES,
    "tampered": REFUSES,
    "moved": REFUSES,
    "attested": REFUSES,
    "several-keys": ACCEPTS,
    "rotated": ACCEPTS,
    "withdrawn": UNTIL_EXPORT,
    "platforms": ACCEPTS,
}
TAKE_ONE_KEY = frozenset({"cosign", "cosign 2", "@sigstore/verify", "jose", "pycose", "openssl"})


@pytest.fixture(scope="module")
def scenarios(unstamped: Site) -> dict[str, Scenarios]:
    return {form: Scenarios(unstamped, form) for form in FORMATS}


@pytest.fixture(scope="module")
def consumers(cosign: Cosign, older_cosign: Cosign) -> dict[str, tuple[Consumer, Judge]]:
    return judges(cosign, older_cosign)


@pytest.mark.parametrize("cell", CELLS, ids=[" ".join(one) for one in CELLS])
def test_each_client_does_in_each_case_what_the_matrix_says(
    scenarios: dict[str, Scenarios],
    consumers: dict[str, tuple[Consumer, Judge]],
    record: Record,
    cell: Cell,
) -> None:
    form, reader, case = cell
    consumer, judge = consumers[reader]
    record.consumers[reader] = consumer
    ask: Callable[[Judge], str] = getattr(scenarios[form], case.replace("-", "_"))
    did = ask(judge)
    record.cells[cell] = did
    expected = EXPECTED[case]
    if case == "rotated" and reader in TAKE_ONE_KEY:
        expected = BY_ITS_FILE
    if case == "withdrawn" and form == "openpgp":
        expected = REFUSES  # our lookaside leaves it out
    assert did == expected

"""docs/compatibility.md holds what `make matrix` writes: every cell, and nothing else."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.matrix import (
    CASES,
    CELLS,
    FORMATS,
    NOT_FOR,
    OUTCOMES,
    READERS,
    REFUSES,
    UNTESTED,
    Consumer,
    Record,
    render,
)

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "compatibility.md").read_text()
JUDGES = ROOT / "tests" / "conformance" / "clients"


def tables(text: str) -> dict[str, list[list[str]]]:
    """Return the rows of each format's table, the heading first."""
    found = {}
    for part in text.split("\n## ")[1:]:
        title, _, body = part.partition("\n")
        rows = [line.strip("| ").split(" | ") for line in body.splitlines() if line[:1] == "|"]
        if rows:
            found[title] = [rows[0], *rows[2:]]
    return found


def empty_or_strange(text: str) -> list[tuple[str, str, str]]:
    """Return the cells that are missing, or hold what no client of the matrix does."""
    faults = []
    for (form, _), rows in zip(FORMATS.items(), tables(text).values(), strict=True):
        readers = [reader for reader, forms in READERS.items() if form in forms]
        said = {row[0]: row[1:] for row in rows[1:]}
        for case, title in CASES.items():
            cells = said.get(title, [])
            for place, reader in enumerate(readers):
                allowed = {"n/a"} if (form, reader, case) in NOT_FOR else OUTCOMES
                if place >= len(cells) or cells[place] not in allowed:
                    faults.append((form, reader, case))
    return faults


def test_no_cell_of_the_page_is_empty() -> None:
    assert [title.lower() for title in tables(PAGE)] == [t.lower() for t in FORMATS.values()]
    assert empty_or_strange(PAGE) == []


def made_up() -> Record:
    consumers = {reader: Consumer(reader, "1.0", (f"{reader} IMAGE",)) for reader in READERS}
    return Record(consumers, dict.fromkeys(CELLS, REFUSES))


def test_the_check_notices_an_empty_cell_and_a_strange_one() -> None:
    text = render(made_up())
    assert empty_or_strange(text) == []
    row = f"| {CASES['signed']} | {REFUSES} |"
    assert row in text
    for cell in ("", "n/a", "perhaps"):
        spoilt = text.replace(row, f"| {CASES['signed']} | {cell} |", 1)
        assert empty_or_strange(spoilt) == [("cosign", "cosign", "signed")]


def test_nothing_is_written_of_a_run_that_lacks_a_cell() -> None:
    record = made_up()
    assert record.is_complete
    lacking = replace(record, cells=dict(list(record.cells.items())[1:]))
    assert not lacking.is_complete
    with pytest.raises(KeyError):
        render(lacking)


def test_the_page_is_of_the_versions_that_are_installed() -> None:
    installer = (ROOT / "scripts" / "install-clients").read_text()
    pinned = dict(re.findall(r"^(\w+)=v?(\S+)$", installer, re.MULTILINE))
    modules = "\n".join(file.read_text() for file in JUDGES.glob("*/go.mod"))

    def of_module(name: str) -> str:
        return re.findall(rf"{re.escape(name)} v(\S+)", modules)[0]

    for shown in (
        f"cosign {pinned['cosign']}",
        f"cosign {pinned['older_cosign']}",
        f"@sigstore/verify {pinned['sigstore_verify']}",
        f"jose {pinned['jose']}",
        f"pycose {pinned['pycose']}",
        f"notation {of_module('github.com/notaryproject/notation')}",
        f"notation-go {of_module('github.com/notaryproject/notation-go')}",
        f"policy-controller {of_module('github.com/sigstore/policy-controller')}",
        f"kyverno {of_module('github.com/kyverno/kyverno')}",
        f"containers/image {of_module('go.podman.io/image/v5')}",
    ):
        assert f"{shown}:" in PAGE, shown


def test_what_is_untested_says_why() -> None:
    for name, reason in UNTESTED.items():
        assert f"* {name}: {reason}." in PAGE

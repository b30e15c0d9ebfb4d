"""A configuration file is read to its end and no further than a limit."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.domain import configfile
from service.domain.errors import ConfigurationError


def test_a_file_of_the_greatest_size_is_read_and_a_byte_more_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_bytes(b"x" * configfile.MAX_FILE_BYTES)
    assert configfile.read(file) == file.read_bytes()
    file.write_bytes(b"x" * (configfile.MAX_FILE_BYTES + 1))
    with pytest.raises(ConfigurationError, match="has more than"):
        configfile.read(file)


def test_a_file_that_never_ends_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="has more than"):
        configfile.read(Path("/dev/zero"))


def test_a_file_that_is_not_there_is_a_fault_of_the_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read: No such file"):
        configfile.read(tmp_path / "none.yaml")


def test_a_field_that_must_be_there_is_missing_from_an_empty_mapping_too() -> None:
    faults: list[str] = []
    entry = configfile.Entry("tokens[0]", {}, frozenset({"label"}), faults)
    assert entry.text("label", required=True) is None
    assert faults == ["tokens[0].label: missing"]
    # Of what is no mapping at all that alone is told.
    faults.clear()
    assert configfile.Entry("tokens[1]", 7, frozenset(), faults).text("x", required=True) is None
    assert faults == ["tokens[1]: not a mapping"]

"""Each reason that can leave, in a verdict or in the refusal of a bundle, can be looked up."""

from __future__ import annotations

import re

import click
import pytest

from service.cli.main import cli
from service.domain.errors import by_code
from service.domain.meanings import MEANINGS
from service.domain.verdicts import ReasonCode
from service.verification.sigstore.reasons import Refusal

CODES = {*map(str, ReasonCode), *map(str, Refusal)}


def test_every_reason_is_explained_once_by_its_own_page_or_by_that_of_an_error() -> None:
    errors = {code for code in CODES if by_code(code) is not None}
    assert errors  # a registry's silence is an error and a reason
    assert CODES - errors == MEANINGS.keys()


@pytest.mark.parametrize("code", sorted(MEANINGS))
def test_a_meaning_is_whole_sentences_and_names_commands_that_exist(code: str) -> None:
    meaning = MEANINGS[code]
    assert not meaning.title.endswith(".")
    assert meaning.cause.endswith(".")
    assert meaning.cure.endswith(".")
    for command in re.findall(r"`sealwright ([a-z -]+)`", f"{meaning.cause} {meaning.cure}"):
        group: click.Command | None = cli
        for word in command.split():
            assert isinstance(group, click.Group), command
            group = group.get_command(click.Context(group), word)
            assert group is not None, command

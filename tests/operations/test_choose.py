"""Which key a request is signed with, and who learns which keys there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from service.domain.callers import Caller, Role
from service.domain.errors import ForbiddenError, KeyNotFoundError, KeyNotNamedError
from service.domain.keys import Key, Purpose
from service.domain.pages import Page, PageRequest
from service.operations.choose import choose_key
from tests.support.records import a_key
from tests.support.versions import version_of


@dataclass(frozen=True)
class Catalog:
    keys: Sequence[Key] = ()

    def get(self, name: str) -> Key | None:
        return next((key for key in self.keys if key.name == name), None)

    def list(self, purpose: Purpose | None, page: PageRequest) -> Page[Key]:
        return Page(tuple(key for key in self.keys if key.purpose is purpose), None)


def key_of(name: str, purpose: Purpose = Purpose.IMAGE) -> Key:
    key, made = a_key(name, purpose)
    return replace(key, versions=(version_of(made, key.algorithm),))


CATALOG = Catalog([key_of("build", Purpose.ATTESTATION), key_of("nightly"), key_of("release")])


def caller(*keys: str, role: Role = Role.BUILDER) -> Caller:
    return Caller("cred_1", "ci", "CI", role, ("**",), keys)


def test_the_only_key_that_a_credential_covers_need_not_be_named() -> None:
    assert choose_key(CATALOG, caller("release"), None, Purpose.IMAGE).name == "release"
    assert choose_key(CATALOG, caller("release", "build"), None, Purpose.IMAGE).name == "release"
    assert choose_key(CATALOG, caller("*"), "nightly", Purpose.IMAGE).name == "nightly"


def test_of_several_keys_one_must_be_named() -> None:
    with pytest.raises(KeyNotNamedError, match=r"several keys for image: nightly, release$"):
        choose_key(CATALOG, caller("*"), None, Purpose.IMAGE)


def test_a_credential_that_covers_no_key_is_refused() -> None:
    for keys in ((), ("build",), ("gone",)):
        with pytest.raises(ForbiddenError, match="covers no key for image"):
            choose_key(CATALOG, caller(*keys), None, Purpose.IMAGE)


def test_where_there_is_no_key_yet_that_is_said() -> None:
    with pytest.raises(KeyNotFoundError, match="no key for image yet"):
        choose_key(Catalog(), caller("*"), None, Purpose.IMAGE)


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.BUILDER])
@pytest.mark.parametrize("name", [None, "release", "build", "gone"])
def test_whoever_does_not_sign_is_told_nothing_of_keys(role: Role, name: str | None) -> None:
    with pytest.raises(ForbiddenError, match=f"the role {role} does not sign"):
        choose_key(CATALOG, caller("*", role=role), name, Purpose.IMAGE)

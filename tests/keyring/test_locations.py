"""Where keys lie, asked of real tokens: there, gone, or nobody can tell."""

from __future__ import annotations

from dataclasses import replace

from service.domain.keys import Algorithm, KeyVersion
from service.keyring import Keyring
from tests.support.faults import failing
from tests.support.keyrings import Keyrings
from tests.support.oci import TurnedClock
from tests.support.softhsm import TokenFixture
from tests.support.versions import version_of

DEVICE_REMOVED = 0x32


def made_on(keyring: Keyring) -> KeyVersion:
    return version_of(keyring.generate("release/1", Algorithm.EC_P256, None), Algorithm.EC_P256)


def states(keyring: Keyring, *versions: KeyVersion) -> list[list[str]]:
    return [[place.state for place in places] for places in keyring.locate(versions)]


def test_a_key_is_present_until_it_is_destroyed_and_missing_from_then_on(keyring: Keyring) -> None:
    gone, kept = made_on(keyring), made_on(keyring)
    assert states(keyring, gone, kept) == [["present"], ["present"]]
    keyring.destroy(gone)
    assert states(keyring, gone, kept) == [["missing"], ["present"]]


def test_each_location_is_told_by_its_own_token(
    keyrings: Keyrings, token: TokenFixture, other_token: TokenFixture
) -> None:
    version = made_on(keyrings([token.config]))
    [place] = version.locations
    places = (
        place,
        replace(place, token=other_token.label, serial=other_token.serial),
        replace(place, token="of nobody"),
        replace(place, serial="0"),
    )
    both = keyrings([token.config, other_token.config])
    spread = replace(version, locations=places)
    assert states(both, spread) == [["present", "missing", "unavailable", "unavailable"]]
    assert [where.token for where in both.locate([spread])[0]] == [p.token for p in places]


def test_a_token_that_is_away_makes_its_keys_unavailable_and_is_asked_once(
    keyrings: Keyrings, token: TokenFixture
) -> None:
    versions = [made_on(keyrings([token.config])) for _ in range(5)]
    # On a clock that stands still, for a pause after a failure is 0.1 s, and would pass.
    keyring = keyrings([token.config], clock=TurnedClock())
    with failing(token.module, "C_OpenSession", DEVICE_REMOVED, times=10_000) as asked:
        assert states(keyring, versions[0]) == [["unavailable"]]
        for_one = len(asked)
        assert for_one > 0
        keyring.login_once(token.label)  # ends the pause that follows a failure
        asked.clear()
        assert states(keyring, *versions) == [["unavailable"]] * 5
        assert len(asked) <= for_one
    keyring.login_once(token.label)
    assert states(keyring, *versions) == [["present"]] * 5

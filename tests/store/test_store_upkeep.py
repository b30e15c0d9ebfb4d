"""Switches and cursors, on both databases."""

from __future__ import annotations

from service.domain.switches import Switch
from service.store import Store


def test_a_switch_is_off_until_it_is_turned_and_remembers_who_did(store: Store) -> None:
    switches = store.switches
    assert switches.get("maintenance") == Switch()
    on = switches.turn("maintenance", on=True, reason="a new HSM", actor="ada")
    assert (on.is_on, on.reason, on.actor) == (True, "a new HSM", "ada")
    assert switches.get("maintenance") == on
    # Turned on again it stays as it was: the first moment is the one that counts.
    assert switches.turn("maintenance", on=True, reason="again", actor="bob") == on
    off = switches.turn("maintenance", on=False, reason=None, actor="bob")
    assert (off.is_on, off.reason, off.actor) == (False, None, "bob")
    assert switches.get("another") == Switch()


def test_a_cursor_moves_to_and_fro(store: Store) -> None:
    assert store.cursors.position("round") == 0
    for position in (7, 9, 0):
        store.cursors.move("round", position)
        assert store.cursors.position("round") == position
    assert store.cursors.position("another") == 0

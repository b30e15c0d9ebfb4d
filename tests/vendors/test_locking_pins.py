"""A token that really locks: no number of processes costs it more than one try for a PIN."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.vendors import opencryptoki_vendor

PROGRAM = Path(__file__).with_name("locking_pins.py")
PROCESSES = 5


def test_a_wrong_pin_costs_one_try_and_the_last_one_is_left_to_a_custodian(
    tmp_path: Path, sqlite_store_url: str
) -> None:
    vendor = opencryptoki_vendor(tmp_path)
    arguments = [str(vendor.module), vendor.label, str(vendor.pin_file), str(tmp_path)]
    done = vendor.run([str(PROGRAM), *arguments, sqlite_store_url])
    rounds = [json.loads(line) for line in done.stdout.splitlines()]
    refused = ["pin-refused"] * PROCESSES
    # The flags are the token's own count: one try, two, and the third would lock it.
    assert [(each["round"], each["said"], each["flags"]) for each in rounds] == [
        ("wrong", refused, ["user_pin_count_low"]),
        ("the same again", refused, ["user_pin_count_low"]),
        ("another wrong one", refused, ["user_pin_final_try"]),
        ("a third", refused, ["user_pin_final_try"]),
        ("the right one", refused, ["user_pin_final_try"]),
        ("a custodian", ["ready"], []),
        ("the right one again", ["ready"] * PROCESSES, []),
    ]

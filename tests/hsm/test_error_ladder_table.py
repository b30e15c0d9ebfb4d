"""The table that says what is done about each PKCS#11 error."""

from __future__ import annotations

from collections.abc import Iterator

import pkcs11
import pytest

from hsm.ladder import RUNGS, Rung, rung


def _classes(base: type[pkcs11.PKCS11Error]) -> Iterator[type[pkcs11.PKCS11Error]]:
    yield base
    for kind in base.__subclasses__():
        yield from _classes(kind)


def test_every_error_class_of_python_pkcs11_stands_on_a_rung() -> None:
    known = {
        kind for kind in _classes(pkcs11.PKCS11Error) if kind.__module__ == "pkcs11.exceptions"
    }
    assert len(known) > 60
    assert known == set(RUNGS)


def test_an_error_that_nobody_knows_is_taken_for_a_broken_connection() -> None:
    class VendorError(pkcs11.PKCS11Error):
        pass

    assert rung(VendorError()) is Rung.MODULE
    assert rung(pkcs11.PKCS11Error("Unmapped error code 0x80000113")) is Rung.MODULE


@pytest.mark.parametrize(
    "kind",
    [
        pkcs11.PinIncorrect,
        pkcs11.PinLocked,
        pkcs11.PinExpired,
        pkcs11.PinLenRange,
        pkcs11.PinInvalid,
    ],
)
def test_a_refused_pin_is_on_the_rung_that_is_never_tried_again(
    kind: type[pkcs11.PKCS11Error],
) -> None:
    assert rung(kind()) is Rung.PIN

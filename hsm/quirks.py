"""What vendors do differently, as data: the only place that knows any of them by name.

Everything else goes by what the standard says and by what a token answers. A row applies where
the token was made by one of its makers, or the module by one of its libraries: a remoted token
has two. What no row says is as PKCS#11 has it. `differences` names checks of `sealwright slots
check`, which is how the first four rows were found; what tpm2-pkcs11 wants was found by hand.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pkcs11 import Attribute


@dataclass(frozen=True, slots=True)
class Quirks:
    """One vendor's row."""

    vendor: str
    makers: frozenset[str] = frozenset()
    """CK_TOKEN_INFO.manufacturerID of its tokens."""
    libraries: frozenset[str] = frozenset()
    """CK_INFO.manufacturerID of its modules."""
    files: re.Pattern[str] | None = None
    """Names of its modules' files, for what must be known before they are initialised."""
    init_args: str | None = None
    """What C_Initialize wants in pReserved, as a pattern for people; None: nothing."""
    not_sent: frozenset[Attribute] = frozenset()
    """Attributes that a template for new keys must not have."""
    one_at_a_time: bool = False
    """Whether calls must take turns, whatever the module says of its locks."""
    differences: Mapping[str, str] = field(default_factory=dict)
    """What `slots check` finds here that PKCS#11 does not expect, by check."""


ROWS: Final = (
    Quirks(
        "SoftHSM",
        makers=frozenset({"SoftHSM project"}),
        differences={
            "wrong-kind": "CKR_GENERAL_ERROR; we compare the kinds before we sign",
        },
    ),
    Quirks(
        "p11-kit remoting",
        libraries=frozenset({"PKCS#11 Kit"}),
        # When its connection breaks, threads that wait for an answer wait for ever, all but the
        # one that reads (0.24). They take turns on the socket anyway.
        one_at_a_time=True,
    ),
    Quirks(
        "opencryptoki",
        makers=frozenset({"IBM Corp."}),
        # Refused with CKR_ATTRIBUTE_TYPE_INVALID.
        not_sent=frozenset({Attribute.WRAP_WITH_TRUSTED, Attribute.COPYABLE}),
        differences={
            "serial": "all tokens are number 123; give them labels of their own",
            "always-authenticate": "such keys are not adopted anyway",
        },
    ),
    Quirks(
        "NSS softokn",
        makers=frozenset({"Mozilla Foundation"}),
        files=re.compile(r"libsoftokn3\.(so|dylib)"),
        init_args=(
            "configdir='sql:DIRECTORY' certPrefix='' keyPrefix='' secmod='' flags= "
            "dbTokenDescription='LABEL'"
        ),
        # Refused with CKR_GENERAL_ERROR, which looks like a broken connection.
        not_sent=frozenset({Attribute.COPYABLE}),
        differences={
            "history": "CKA_LOCAL is false of its own keys; it proves nothing of where they are from",
            "wrapping": "whoever can log in can take keys out: fit for trials only",
            "always-authenticate": "such keys are not adopted anyway",
            "lost-login": "told in other words; whatever it says, we log in again",
        },
    ),
    Quirks(
        "tpm2-pkcs11",
        libraries=frozenset({"tpm2-software.github.io"}),
        # Each refused template costs the TPM one of its few transient slots.
        not_sent=frozenset(
            {
                Attribute.ENCRYPT,
                Attribute.DECRYPT,
                Attribute.WRAP,
                Attribute.UNWRAP,
                Attribute.DERIVE,
                Attribute.WRAP_WITH_TRUSTED,
                Attribute.COPYABLE,
            }
        ),
    ),
)


def quirks(*, library: str, maker: str | None = None) -> Quirks:
    """Return everything that the rows say of a module's and a token's manufacturer, as one row."""
    rows = [row for row in ROWS if maker in row.makers or library in row.libraries]
    return Quirks(
        " + ".join(row.vendor for row in rows),
        not_sent=frozenset().union(*(row.not_sent for row in rows)),
        one_at_a_time=any(row.one_at_a_time for row in rows),
        differences={name: text for row in rows for name, text in row.differences.items()},
    )


def wanted_init_args(path: Path) -> str | None:
    """Return what the module of this file name wants in `init_args`, for people."""
    for row in ROWS:
        if row.files is not None and row.files.fullmatch(path.name):
            return row.init_args
    return None

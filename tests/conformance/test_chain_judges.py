"""Our rules for certificate chains against the Notary Project's own code (notation-core-go)."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pytest

from service.verification.chains import ChainInvalidError, Use, check_chain
from tests.support.chain_attacks import CA, LEAF, STAMPING
from tests.support.chains import (
    NOW,
    Spec,
    ca,
    chain_specs,
    issue,
    leaf,
    stamping_leaf,
    with_change,
)
from tests.support.clients import client

# Where we refuse more than that code does, and why.
STRICTER = {
    # Its specification forbids anyExtendedKeyUsage, and names codeSigning alone as allowed.
    "also anyExtendedKeyUsage",
    "only a usage of somebody's own",
    # Only trusted identities look at the subject, and refuse it then.
    "no country",
    "no state",
    "no organisation",
    "an attribute that Go prints as hex",
    "a value that notation does not read",
    "two units",
    # Its specification asks for it.
    "constraints not critical",
    # Weak, though nobody looks.
    "a short RSA key",
    # cosign wants a root beside the leaf.
    "a lone certificate for timestamps",
}


@dataclass(frozen=True)
class Case:
    name: str
    certificates: Sequence[bytes]
    use: Use = Use.CODE_SIGNING

    @property
    def question(self) -> str:
        listed = [base64.b64encode(der).decode() for der in self.certificates]
        asked = {"use": self.use.value, "at": int(NOW.timestamp()), "certificates": listed}
        return json.dumps(asked)

    def ours(self) -> str | None:
        try:
            check_chain(self.certificates, use=self.use, at=NOW)
        except ChainInvalidError as error:
            return str(error)
        return None


def cases() -> Iterator[Case]:
    for length in (1, 2, 3, 4, 10):
        yield Case(f"a good chain of {length}", issue(chain_specs(length)))
    for name, (change, _) in LEAF.items():
        for length in (1, 2, 3):
            if length > 1 or "issued by" not in name:
                yield Case(name, issue(with_change(chain_specs(length), 0, **change)))
    for name, (change, _) in CA.items():
        for position in (1, 2):
            yield Case(name, issue(with_change(chain_specs(3), position, **change)))
    yield Case("good for timestamps", stamping(), Use.TIMESTAMPING)
    for name, changed in STAMPING.items():
        yield Case(name, stamping(**changed), Use.TIMESTAMPING)
    yield Case("a lone certificate for timestamps", issue([stamping_leaf()]), Use.TIMESTAMPING)
    yield from path_lengths()
    yield from lists(issue(chain_specs(4)))
    root = ca("root", 9)
    specs: list[Spec] = [leaf(), replace(root, number=20), root]
    yield Case("a root that passed its name on", issue(specs))
    through_rsa = with_change(chain_specs(3), 1, kind="rsa-2048")
    for salt in (32, 20):
        yield Case(f"PSS, salt {salt}", issue(with_change(through_rsa, 0, pss_salt=salt)))


def stamping(**change: object) -> list[bytes]:
    return issue(chain_specs(3, stamping_leaf(**change)))


def path_lengths() -> Iterator[Case]:
    for position, allowed in ((1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2)):
        specs = with_change(chain_specs(4), position, path_length=allowed)
        yield Case(f"{allowed} CAs below number {position}", issue(specs))


def lists(good: list[bytes]) -> Iterator[Case]:
    stranger = issue([leaf("another")])
    yield Case("no root", good[:-1])
    yield Case("the leaf alone", good[:1])
    yield Case("a gap", [good[0], *good[2:]])
    yield Case("the root twice", [*good, good[-1]])
    yield Case("the leaf twice", [good[0], *good])
    yield Case("root first", good[::-1])
    yield Case("a stranger at the end", [*good, *stranger])
    yield Case("another leaf", [*issue([leaf()]), *good[1:]])


@pytest.fixture(scope="module")
def judge() -> str:
    return client("chain-judge")


def test_notation_refuses_what_we_refuse_except_where_we_say_that_we_are_stricter(
    judge: str,
) -> None:
    asked = list(cases())
    said = subprocess.run(
        [judge],
        input="\n".join(case.question for case in asked) + "\n",
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert len(said) == len(asked)
    accepted = 0
    stricter = set()
    for case, theirs in zip(asked, said, strict=True):
        ours = case.ours()
        if ours is None:
            assert theirs == "ok", f"{case.name}: {theirs}"
            accepted += 1
        elif theirs == "ok":
            stricter.add(case.name)
    assert accepted > 10
    assert stricter == STRICTER

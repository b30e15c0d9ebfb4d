"""The script of a ceremony: who does what, in which order, by which exact command.

Values in, values out; the templates make paper of it. A test prints scripts and runs each of
their commands, so what custodians read aloud is what works.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    GENERATE = "generate"
    ROTATE = "rotate"
    DESTROY = "destroy"


PENDING_EXIT: Final = 4
NOT_THERE_EXIT: Final = 2


def acts_of(kind: Kind) -> tuple[str, ...]:
    """Return the acts as the quorum rules name them: what is made here is active at once."""
    return ("destroy",) if kind is Kind.DESTROY else ("generate", "activate")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the ceremony is for. `needed` people want it; `signed`: with their own SSH keys."""

    kind: Kind
    key: str
    url: str
    needed: int
    signed: bool
    version: int | None = None
    fingerprint: str | None = None
    purpose: str | None = None
    algorithm: str | None = None
    token: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One step. `exits` is the exit code that is right; `blanks` are written down by hand."""

    who: str
    title: str
    commands: tuple[str, ...] = ()
    expect: str = ""
    exits: int = 0
    blanks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    title: str
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Script:
    title: str
    roles: tuple[tuple[str, str], ...]
    room: tuple[str, ...]
    parts: tuple[Part, ...]


MASTER: Final = "Master of ceremony"
AUDITOR: Final = "Auditor"


def custodian(number: int) -> str:
    return f"Custodian {number}"


def script(wanted: Wanted) -> Script:
    return Script(
        title=f"{_TITLES[wanted.kind]} {_subject(wanted)}",
        roles=_roles(wanted),
        room=_room(wanted),
        parts=(
            Part("Opening", _opening(wanted)),
            Part("The act", _acting(wanted)),
            Part("What is there now", _checking(wanted)),
            Part("Closing", _closing(wanted)),
        ),
    )


_TITLES: Final = {
    Kind.GENERATE: "Generation of the key",
    Kind.ROTATE: "Rotation of the key",
    Kind.DESTROY: "Destruction of",
}


def _subject(wanted: Wanted) -> str:
    return f"{wanted.key}/{wanted.version}" if wanted.kind is Kind.DESTROY else wanted.key


def _roles(wanted: Wanted) -> tuple[tuple[str, str], ...]:
    asks = "asks for the act" if wanted.needed > 1 else "does the act"
    return (
        (MASTER, "reads this script aloud, keeps the time, and touches no keyboard"),
        (custodian(1), f"{asks}, with a credential of the role custodian"),
        *(
            (custodian(n), "approves, with a credential of another person")
            for n in range(2, wanted.needed + 1)
        ),
        (AUDITOR, "witnesses, and takes the minutes, with a credential of the role auditor"),
    )


def _room(wanted: Wanted) -> tuple[str, ...]:
    keys = ", and the custodians' SSH keys," if wanted.signed else ""
    return (
        "Nobody is in the room but those named above; each has shown an identity card.",
        "Phones and other recording devices lie outside. The door is closed.",
        "The machine is the one that is meant for this, and its clock is right.",
        f"Each credential{keys} came with its owner, and nobody else has held it.",
        "Each participant has read this script before.",
    )


def _opening(wanted: Wanted) -> tuple[Step, ...]:
    prepare = [f"export SEALWRIGHT_URL={shlex.quote(wanted.url)}", "AUDITOR=/media/auditor/token"]
    for number in range(1, wanted.needed + 1):
        prepare.append(f"CUSTODIAN_{number}=/media/custodian-{number}/token")
        if wanted.signed and number > 1:
            prepare.append(f"CUSTODIAN_{number}_KEY=/media/custodian-{number}/id_ed25519")
    acts = " or ".join(f"`{act}`" for act in acts_of(wanted.kind))
    rule = (
        f"The largest number at {acts} is {wanted.needed}."
        if wanted.needed > 1
        else f"No rule names {acts}: one person is enough."
    )
    if wanted.kind is Kind.GENERATE:
        there = Step(
            AUDITOR,
            "There is no such key yet.",
            (_as(AUDITOR, "keys", "show", wanted.key),),
            "The command refuses: there is no such key.",
            NOT_THERE_EXIT,
        )
    else:
        there = Step(
            AUDITOR,
            "This is the key.",
            (_as(AUDITOR, "keys", "show", wanted.key),),
            f"The version in question has the fingerprint {wanted.fingerprint}.",
            blanks=("Fingerprint compared by",),
        )
    return (
        Step(
            MASTER,
            "Open the ceremony: date, place, names and signatures on the first page.",
        ),
        Step(
            MASTER,
            "Where everything is. Put in the paths of the credentials as they were brought.",
            tuple(prepare),
        ),
        Step(
            AUDITOR,
            "The rules that count.",
            (_as(AUDITOR, "policy", "show"),),
            rule,
        ),
        there,
        Step(
            custodian(1),
            "The token is ready.",
            (_as(custodian(1), "slots", "list"),),
            "The token of the ceremony is `ready`.",
            blanks=("Serial number of the token",),
        ),
    )


def _acting(wanted: Wanted) -> tuple[Step, ...]:
    alone = wanted.needed == 1
    asks = Step(
        custodian(1),
        _ASKS[wanted.kind] if alone else f"{_ASKS[wanted.kind]} The others approve below.",
        (_as(custodian(1), *_words(wanted)),),
        "It is done at once." if alone else "It is pending, and the approval's id is printed.",
        0 if alone else PENDING_EXIT,
        () if alone else ("Approval",),
    )
    return (asks, *(_approving(wanted, number) for number in range(2, wanted.needed + 1)))


_ASKS: Final = {
    Kind.GENERATE: "Ask for the key.",
    Kind.ROTATE: "Ask for the new version.",
    Kind.DESTROY: "Ask for the destruction. There is no way back from it.",
}


def _words(wanted: Wanted) -> tuple[str, ...]:
    token = () if wanted.token is None else ("--token", wanted.token)
    match wanted.kind:
        case Kind.GENERATE:
            options = ("--purpose", str(wanted.purpose), "--algorithm", str(wanted.algorithm))
            return ("keys", "create", wanted.key, *options, *token)
        case Kind.ROTATE:
            kind = () if wanted.algorithm is None else ("--algorithm", wanted.algorithm)
            return ("keys", "rotate", wanted.key, *kind, *token)
        case Kind.DESTROY:
            return ("keys", "destroy", wanted.key, str(wanted.version), "--reason", "ceremony")


def _approving(wanted: Wanted, number: int) -> Step:
    who = custodian(number)
    pending = ("approvals", "list", "--state", "pending", "--key", wanted.key, "--ids")
    signing = f' --ssh-key "$CUSTODIAN_{number}_KEY"' if wanted.signed else ""
    last = number == wanted.needed
    left = wanted.needed - number
    return Step(
        who,
        "Find the request, read it aloud, compare it with this script, and approve it.",
        (
            f"APPROVAL=$({_as(who, *pending)})",
            _as(who, "approvals", "show") + ' "$APPROVAL"',
            _as(who, "approvals", "approve") + f' "$APPROVAL"{signing}',
        ),
        "It is `executed`: the act is done."
        if last
        else f"It is `pending` still; {left} more {'person' if left == 1 else 'people'} missing.",
        blanks=("It is the approval above, says",),
    )


def _checking(wanted: Wanted) -> tuple[Step, ...]:
    show = _as(AUDITOR, "keys", "show", wanted.key)
    if wanted.kind is Kind.DESTROY:
        return (
            Step(
                AUDITOR,
                "The version is destroyed.",
                (show,),
                f"Version {wanted.version} is `destroyed`, with the fingerprint from above.",
                blanks=("Confirmed by",),
            ),
        )
    pem = f"{wanted.key}.pem"
    return (
        Step(
            AUDITOR,
            "What the token says of the key.",
            (show,),
            "The newest version is active. Sensitive yes, extractable no, never extractable yes, "
            "local yes.",
            blanks=("Version", "Fingerprint"),
        ),
        Step(
            AUDITOR,
            "The public key, and its fingerprint by another program.",
            (
                f"{_as(AUDITOR, 'keys', 'public-key', wanted.key)} > {shlex.quote(pem)}",
                f"openssl pkey -pubin -in {shlex.quote(pem)} -outform DER | sha256sum",
            ),
            "The same fingerprint.",
            blanks=("Compared by",),
        ),
    )


def _closing(wanted: Wanted) -> tuple[Step, ...]:
    minutes = f"{wanted.key}-minutes"
    page, data = shlex.quote(f"{minutes}.html"), shlex.quote(f"{minutes}.json")
    return (
        Step(
            AUDITOR,
            "Take the minutes, print them, and keep both files with this paper.",
            (
                _as(AUDITOR, "keys", "minutes", wanted.key) + f" --output {page}",
                _as(AUDITOR, "keys", "minutes", wanted.key) + f" --json --output {data}",
                f"sha256sum {page} {data}",
            ),
            "Two lines, one for each file.",
            blanks=("First eight digits of each",),
        ),
        Step(MASTER, "Each takes the own credential back; everyone signs the last page."),
    )


def _as(who: str, *words: str) -> str:
    """Return the command with the credential of one of the participants."""
    variable = who.upper().replace(" ", "_")
    return f'SEALWRIGHT_TOKEN_FILE="${variable}" sealwright {shlex.join(words)}'

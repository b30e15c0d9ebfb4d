"""The compatibility matrix: what may be in a cell, and the document that is made of the cells.

The cells come from real clients (`tests/conformance/test_matrix.py`); this page only says how
they are shown, and holds which rows and columns there are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

TITLE: Final = "# Compatibility"

FORMATS: Final = {
    "cosign": "`cosign`: simple signing under the tag `sha256-HEX.sig`",
    "bundle": "`bundle`: sigstore bundle v0.3, a referrer",
    "notation": "`notation`: Notary Project, JWS",
    "notation-cose": "`notation-cose`: Notary Project, COSE",
    "openpgp": "`openpgp`: simple signing in OpenPGP, at our lookaside",
    "attestation": "attestations: in-toto statements in sigstore bundles, referrers",
}
CASES: Final = {
    "signed": "signed",
    "unsigned": "not signed",
    "other-key": "by another key",
    "tampered": "payload changed",
    "moved": "put on another image",
    "attested": "only attested",
    "several-keys": "by two keys",
    "rotated": "by a version that was rotated",
    "withdrawn": "by a version that is compromised",
    "platforms": "an index, recursively",
}
ACCEPTS: Final = "accepts"
REFUSES: Final = "refuses"
BY_ITS_FILE: Final = "accepts with `cosign-v1.pub`, refuses with `cosign.pub`"
UNTIL_EXPORT: Final = "accepts with an old export, refuses with a new one"
OUTCOMES: Final = frozenset({ACCEPTS, REFUSES, BY_ITS_FILE, UNTIL_EXPORT})

UNTESTED: Final = {
    "OpenShift": "no client of it runs outside a cluster; its policy is held to the published "
    "schema alone",
}


@dataclass(frozen=True)
class Consumer:
    """A client as it is shown: its version, what it reads, and what somebody types."""

    name: str
    version: str
    commands: tuple[str, ...]

    @property
    def key(self) -> str:
        return f"{self.name} {self.version}"


Cell = tuple[str, str, str]
"""Format, client and case."""

READERS: Final = {
    "cosign": ("cosign", "bundle", "attestation"),
    "cosign 2": ("cosign", "bundle", "attestation"),
    "notation": ("notation", "notation-cose"),
    "notation-go": ("notation", "notation-cose"),
    "containers/image": ("cosign", "openpgp"),
    "skopeo": ("openpgp",),
    "podman": ("openpgp",),
    "@sigstore/verify": ("bundle", "attestation"),
    "jose": ("notation",),
    "pycose": ("notation-cose",),
    "policy-controller": ("cosign",),
    "kyverno": ("cosign",),
    "openssl": ("cosign",),
}
"""Every client that is run, and the formats that it reads."""

_ONE_MANIFEST: Final = "an attestation is about one manifest"
_ONE_ENVELOPE: Final = "it is given the bytes of one envelope, and looks into no index"
_GIVEN: Final = ("@sigstore/verify", "jose", "pycose", "openssl")
NOT_FOR: Final[dict[Cell, str]] = {
    ("attestation", "cosign", "platforms"): _ONE_MANIFEST,
    ("attestation", "cosign 2", "platforms"): _ONE_MANIFEST,
    **{(form, one, "platforms"): _ONE_ENVELOPE for one in _GIVEN for form in READERS[one]},
}
"""Cells that mean nothing, each with the reason."""

CELLS: Final[tuple[Cell, ...]] = tuple(
    cell
    for form in FORMATS
    for reader, forms in READERS.items()
    if form in forms
    for case in CASES
    if (cell := (form, reader, case)) not in NOT_FOR
)
"""Every cell that is run."""


@dataclass
class Record:
    """What the clients of one run did."""

    consumers: dict[str, Consumer] = field(default_factory=dict)
    cells: dict[Cell, str] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        """Whether there is a cell wherever one belongs."""
        return self.cells.keys() == set(CELLS)


def render(record: Record) -> str:
    """Return the document.

    Raises:
        KeyError: a cell, or a client, is missing.
    """
    consumers = {reader: record.consumers[reader] for reader in READERS}
    lines = [TITLE, "", *_HEAD, ""]
    for form, title in FORMATS.items():
        lines += [f"## {title[:1].upper()}{title[1:]}", "", *_table(form, record), ""]
    lines += ["## Command lines", "", *_COMMANDS, ""]
    for consumer in consumers.values():
        lines += [f"{consumer.key}:", "", *(f"    {one}" for one in consumer.commands), ""]
    lines += ["## Why a cell says n/a", "", *_notes(record), "", "## Untested", ""]
    lines += [f"* {name}: {reason}." for name, reason in UNTESTED.items()]
    return "\n".join(lines) + "\n"


def _table(form: str, record: Record) -> list[str]:
    readers = [reader for reader, forms in READERS.items() if form in forms]
    names = [record.consumers[reader].key for reader in readers]
    lines = ["| | " + " | ".join(names) + " |", "|---" * (len(readers) + 1) + "|"]
    for case, title in CASES.items():
        row = [
            "n/a" if (form, reader, case) in NOT_FOR else record.cells[form, reader, case]
            for reader in readers
        ]
        lines.append(f"| {title} | " + " | ".join(row) + " |")
    return lines


def _notes(record: Record) -> list[str]:
    reasons: dict[tuple[str, str], dict[str, None]] = {}
    for (_, reader, case), reason in NOT_FOR.items():
        reasons.setdefault((CASES[case], reason), {})[record.consumers[reader].key] = None
    return [
        f"* {case} ({', '.join(names)}): {reason}." for (case, reason), names in reasons.items()
    ]


_HEAD: Final = (
    "Written by `make matrix` from what real clients did on this very code; never by hand. Each cell",
    "is one run or more, on docker-registry: our service signs, the client judges with the files that",
    "`sealwright trust export` wrote (`DIR` below), without an edit, and with our log's proof where it",
    "reads one. `make conformance` fails where a client does anything else than its cell says.",
    "",
    '"By two keys": the image carries a signature by each, and the client is asked with the files of',
    'the one and of the other. "Only attested" is, for attestations, "only signed". No stock client',
    "knows of withdrawals: it refuses what a compromised version has signed from the next export on;",
    "for OpenPGP at once, because our lookaside serves it no more.",
    "",
    "The signatures here carry no time stamps. With stamps of an authority of ours every client did the",
    "same but one: **Kyverno 1.14 refuses a stamped `.sig` signature**. It takes the first certificate",
    "of a stamp's token for the authority's, and that may be the root's.",
)
_COMMANDS: Final = (
    "`DIR` is an export (`sealwright trust export --key KEY DIR`), `IMAGE` is",
    "`REGISTRY/REPOSITORY@sha256:DIGEST`; those of containers/image want the tag too. For a",
    "registry on plain HTTP add what each client has for that. Programs of ours that drive a",
    "library and nothing else are named as such.",
)

"""The section `custody` of the policy file: what keys may be beyond what is safe by itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CustodyPolicy:
    """`allow_extractable`: keys that can leave their token may be adopted, if that is wished."""

    allow_extractable: bool = False

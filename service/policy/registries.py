"""The section `registries` of the policy file: what becomes of what others remove there."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RegistryPolicy:
    """`restore_removed`: signatures that were removed or overwritten are put back; else reported.

    Reporting is the default, because whoever removes something from a registry may have a
    reason, and a service that fights a clean-up makes neither win.
    """

    restore_removed: bool = False

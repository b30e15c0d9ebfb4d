"""Figures of several processes, kept in files of one directory (prometheus-client)."""

from __future__ import annotations

from service.metrics.files import retire_dead, wipe
from service.metrics.meter import PrometheusMeter

__all__ = ["PrometheusMeter", "retire_dead", "wipe"]

"""Our own OCI distribution client: reads that tell three things apart, and attaching."""

from __future__ import annotations

from service.registry.attach import SigTagAttacher
from service.registry.book import FixedRegistries, RegistryBook
from service.registry.client import OCIClient
from service.registry.config import (
    RegistryConfig,
    RegistryLimits,
    load_registries,
    parse_registries,
)
from service.registry.health import RegistryHealthCheck
from service.registry.listing import ReferrerListing
from service.registry.lookaside import LookasideAttacher
from service.registry.refer import ReferrerAttacher
from service.registry.shared import SharedTag
from service.registry.tags import TagListing

__all__ = [
    "FixedRegistries",
    "LookasideAttacher",
    "OCIClient",
    "ReferrerAttacher",
    "ReferrerListing",
    "RegistryBook",
    "RegistryConfig",
    "RegistryHealthCheck",
    "RegistryLimits",
    "SharedTag",
    "SigTagAttacher",
    "TagListing",
    "load_registries",
    "parse_registries",
]

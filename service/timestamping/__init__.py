"""Time-stamping authorities of others, and which of them are asked (RFC 3161)."""

from service.timestamping.authority import ExternalAuthority
from service.timestamping.config import AuthorityConfig, TimestampConfig, load_timestamps

__all__ = ["AuthorityConfig", "ExternalAuthority", "TimestampConfig", "load_timestamps"]

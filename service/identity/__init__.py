"""Authentication: who is calling. Bearer tokens now; the port is where other proofs join."""

from service.identity.tokens import TokenAuthenticator

__all__ = ["TokenAuthenticator"]

"""The HTTP edge: it knows operations and nothing below them."""

from service.web.app import create_app

__all__ = ["create_app"]

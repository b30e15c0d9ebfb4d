"""`sealwright serve`: checks what can be checked before the start, then becomes gunicorn."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from service.bootstrap.settings import Settings, name_roles
from service.bootstrap.worker import checked_files, checked_schema
from service.domain.errors import ConfigurationError
from service.metrics import wipe


def run(roles: str | None) -> NoReturn:
    """Replace this process by gunicorn's master; `roles` go before those of the environment.

    Raises:
        ConfigurationError: a setting, or a file that it names, is wrong.
        SchemaUnsupportedError: this program does not work with the database's schema.
    """
    if roles is not None:
        name_roles(roles)
    settings = Settings.from_environment()
    checked_files(settings)
    checked_schema(settings)
    try:
        wipe(settings.metrics_dir)
    except OSError as error:
        raise ConfigurationError(
            f"the metrics directory {settings.metrics_dir} cannot be used: {error.strerror}"
        ) from error
    os.execv(  # noqa: S606  # our own interpreter, with constant arguments
        sys.executable,
        [
            sys.executable,
            "-m",
            "gunicorn",
            "--config",
            "python:service.bootstrap.gunicorn_config",
            "service.wsgi:application()",
        ],
    )

"""The WSGI entry point: gunicorn calls `application()` in each worker, after the fork."""

from __future__ import annotations

import sys
from importlib.metadata import version

from flask import Flask

from service.bootstrap.api import build
from service.bootstrap.memory import collect_seldom
from service.bootstrap.settings import Settings
from service.domain.serving import ServerRole
from service.ports.steps import StepObserver
from service.web import create_app
from service.web.logs import configure
from service.worker import LOOPS, Loops


def application(observer: StepObserver | None = None) -> Flask:
    """Build the application of this process; with it, where that is a role, the loops."""
    settings = Settings.from_environment()
    configure(sys.stderr, level=settings.log_level)
    service = build(settings, observer=observer)
    service.keyring.start()
    app = create_app(
        service.operations,
        version=version("sealwright"),
        roles=settings.roles,
        proxies=settings.trusted_proxies,
    )
    if ServerRole.WORKER in settings.roles:
        loops = app.extensions[LOOPS] = Loops(
            service.deliver, service.chores, service.jobs, service.upkeep
        )
        loops.start()
    collect_seldom()
    return app

"""The WSGI entry point: gunicorn calls `application()` in each worker, after the fork."""

from __future__ import annotations

import sys
from importlib.metadata import version
from threading import Event, Thread

from flask import Flask

from service.bootstrap.api import build
from service.bootstrap.memory import collect_seldom
from service.bootstrap.settings import Settings
from service.ports.steps import StepObserver
from service.web import create_app
from service.web.logs import configure
from service.worker import run_loop


def application(observer: StepObserver | None = None) -> Flask:
    """Build the application of this process; with it, unless told otherwise, the delivery loop."""
    settings = Settings.from_environment()
    configure(sys.stderr, level=settings.log_level)
    service = build(settings, observer=observer)
    service.keyring.start()
    if settings.embedded_worker:
        # A daemon: orders it holds when the process ends are claimed again by their lease.
        arguments = (service.deliver, service.chores, Event())
        Thread(target=run_loop, args=arguments, name="worker", daemon=True).start()
    app = create_app(service.operations, version=version("sealwright"))
    collect_seldom()
    return app

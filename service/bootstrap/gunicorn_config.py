"""gunicorn's configuration, read by its master as a Python file; settings come from SEALWRIGHT_*.

The application is built only in the workers (no preload): PKCS#11 state does not survive a
fork, and a child forked while another thread signs hangs for ever. Its modules are imported
here, which starts nothing, so that a worker that takes another's place is up at once.
"""

from __future__ import annotations

import ctypes
import signal
import sys
from typing import Any

import service.bootstrap.api
import service.web
import service.worker  # noqa: F401 -- all three for the workers, as said above
from service.bootstrap.ending import leave_at_once
from service.bootstrap.memory import LARGE_ANSWER_BYTES, give_back, share_arenas
from service.bootstrap.settings import Settings
from service.worker import LOOPS

_settings = Settings.from_environment()

bind = [_settings.bind]
workers = _settings.workers
threads = _settings.threads
worker_class = "gthread"
preload_app = False
proc_name = "sealwright"
timeout = 60  # a batch on a slow HSM takes tens of seconds
graceful_timeout = 30  # a batch in flight ends within its lease
keepalive = 30  # build systems send one request after the other
max_requests = 0  # handles and sessions are kept, not recycled
# Who may tell gunicorn the scheme and the path of a request: nobody unless it is set, and not, as by
# gunicorn's default, whoever connects from this machine.
forwarded_allow_ips = ",".join(str(network) for network in _settings.trusted_proxies)
limit_request_line = 8190
limit_request_fields = 64
limit_request_field_size = 8190
accesslog = None  # the service logs each request itself, without its query
errorlog = "-"
loglevel = _settings.log_level.lower()
control_socket_disable = True  # nobody steers the master through a socket

_PR_SET_PDEATHSIG = 1


def post_fork(server: Any, worker: Any) -> None:
    """A worker whose master is gone serves nobody: let the kernel end it (Linux)."""
    share_arenas()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def post_request(worker: Any, request: Any, environ: Any, answer: Any) -> None:
    """Whoever has had a large answer does not leave its memory behind in the worker."""
    if answer is not None and answer.sent >= LARGE_ANSWER_BYTES:
        give_back()


def worker_exit(server: Any, worker: Any) -> None:
    """The worker's requests are answered; what its loops have begun is finished too."""
    leave_at_once(0)
    app = getattr(worker, "wsgi", None)  # there is none where the start failed
    loops = None if app is None else app.extensions.get(LOOPS)
    if loops is not None:
        loops.end()

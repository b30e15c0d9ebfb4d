"""How a process ends that has a thread which nothing gets out of its HSM.

In good order, because everybody else's requests are well: SIGTERM lets gunicorn's worker, or the
delivery loop, finish what has begun. Such a thread does not keep it from that. Whatever is not
finished then is cut off by SIGKILL, which ends a process in any state.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Final

# gunicorn gives connections that are kept alive 2 seconds to send the request that may be under
# way. With the 2 seconds until the call counts as stuck, the worker is gone within 5.
LEAVE_SECONDS: Final = 2.4


_begun = threading.Event()


def end_this_process() -> None:
    """Does not return."""
    _begun.set()
    main = threading.main_thread().ident
    if main is not None:
        # To the thread that waits, which would otherwise not notice for a second.
        signal.pthread_kill(main, signal.SIGTERM)
    time.sleep(LEAVE_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)


def leave_at_once(code: int) -> None:
    """Now that what had begun is finished, end without ado, if an end was begun here.

    The interpreter would take its time over an orderly end, and a successor waits.
    """
    if _begun.is_set():
        os._exit(code)

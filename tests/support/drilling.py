"""A network HSM that vanishes and freezes under load, and the whole product in front of it.

`p11-kit server` serves SoftHSM on a socket; gunicorn's workers and the delivery loop reach it each
by a connection of its own. Nothing is restarted by hand, and callers never see more than a 503.

What a promise says in seconds holds for a machine that has a processor to spare. So the time in
which our processes were ready to run and had to wait for a processor is measured too, by the
kernel, and taken off.
"""

from __future__ import annotations

import base64
import os
import re
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

import urllib3

from service.domain.keys import Scheme
from service.domain.public_keys import PublicKey
from tests.support.processes import descendants
from tests.support.product import Product, start_dev, stop_dev
from tests.support.vendors import KitServer, kit_vendor
from tests.support.waiting import until

CALLERS = 4
SAMPLE_SECONDS = 0.1
# What we promise: of the worker that waits for a frozen HSM, and of a return of the HSM.
WORKER_SECONDS: Final = 5.0
RECOVERY_SECONDS: Final = 1.0
# The log's own key lies on the token too.
AWAY = ((503, "hsm-unavailable"), (503, "log-unavailable"))


@dataclass
class Load:
    """Callers who sign one image after the other, and others who need no HSM."""

    product: Product
    outcomes: Counter[tuple[int, str]] = field(default_factory=Counter)
    others: Counter[int] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    answered: list[float] = field(default_factory=lambda: [0.0] * CALLERS)
    """When each caller last got a signature."""
    _stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        answer = self.product.call("GET", "/v1/keys/release/public-key", who=None)
        self.key = PublicKey.parse_pem(str(answer.body))

    def __enter__(self) -> Self:
        self._threads = [
            *(threading.Thread(target=self._sign, args=(n,)) for n in range(CALLERS)),
            threading.Thread(target=self._look),
        ]
        for thread in self._threads:
            thread.start()
        self.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait(self) -> float:
        """Wait until every caller gets another signature; return when the last one got it."""
        began = time.monotonic()
        self.until(lambda: min(self.answered) > began)
        return max(self.answered)

    def until(self, condition: Callable[[], bool]) -> None:
        until(condition, lambda: self.outcomes, pause=0.01)

    def until_refused(self, times: int) -> None:
        """Wait until callers are refused so often more, for whatever reason they are given."""
        enough = self._refused() + times
        self.until(lambda: self._refused() >= enough)

    def _refused(self) -> int:
        with self._lock:
            return sum(count for (status, _), count in self.outcomes.items() if status == 503)

    def _sign(self, number: int) -> None:
        # A connection each, kept alive, as build systems have it.
        with urllib3.PoolManager(retries=False, timeout=60.0) as connection:
            while not self._stop.is_set():
                self._sign_once(number, connection)

    def _sign_once(self, number: int, connection: urllib3.PoolManager) -> None:
        image = f"{self.product.registry}/demo/drill@sha256:{uuid.uuid4().hex * 2}"
        body = {"images": [{"reference": image}], "formats": ["cosign"], "attach": False}
        authorization = f"Bearer {self.product.tokens['builder']}"
        try:
            answer = connection.request(
                "POST",
                f"{self.product.url}/v1/signatures",
                json=body,
                headers={"Authorization": authorization},
            )
            told = answer.json()
        except (urllib3.exceptions.HTTPError, ValueError) as error:
            self.faults.append(repr(error))
            return
        if answer.status == 201:
            [made] = told["results"][0]["signatures"]
            payload, signature = (base64.b64decode(made[n]) for n in ("payload", "signature"))
            self.key.verify(Scheme(made["algorithm"]), payload, signature)
            self.answered[number] = time.monotonic()
        elif answer.status != 503 or int(answer.headers["Retry-After"]) < 1:
            self.faults.append(f"{answer.status} {told}")
        with self._lock:
            self.outcomes[answer.status, told.get("code", "")] += 1
        self._stop.wait(0.02)

    def _look(self) -> None:
        while not self._stop.wait(0.05):
            answer = self.product.call("GET", "/v1/keys/release", who=None)
            self.others[answer.status] += 1


def figure(product: Product, name: str) -> float:
    text = str(product.call("GET", "/metrics", who=None).body)
    return sum(float(value) for value in re.findall(rf"^{name}{{.*}} (\S+)$", text, re.MULTILINE))


def state(product: Product) -> str:
    [token] = product.call("GET", "/readyz?for=sign", who=None).body["tokens"]
    return str(token["state"])


class Stopwatch:
    """Measures what the product does, without the time in which it waited for a processor.

    Nor is it the product's time where this thread, too, gets to look late: the machine stalled.
    A thread of its own looks at our processes and all that they have started, ten times a second.
    Invariant: everything but `_stop` is written by that thread only.
    """

    def __init__(self, *roots: int) -> None:
        self._roots = roots
        self._waited: dict[tuple[int, str], int] = {}
        self._history: list[tuple[float, float]] = []
        self._last_seen: dict[int, float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._look()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def seconds(self, began: float, ended: float) -> float:
        """Return what lies between two moments of the monotonic clock."""
        history = list(self._history)
        before = max(waited for moment, waited in history if moment <= began)
        after = [waited for moment, waited in history if moment >= ended] or [history[-1][1]]
        return ended - began - (min(after) - before)

    def gone(self, pids: frozenset[int]) -> dict[int, float]:
        """Return when those of the processes that have ended were last seen."""
        moment = self._history[-1][0]
        return {
            pid: seen
            for pid, seen in list(self._last_seen.items())
            if pid in pids and seen < moment
        }

    def _run(self) -> None:
        while not self._stop.wait(SAMPLE_SECONDS):
            self._look()

    def _look(self) -> None:
        moment = time.monotonic()
        more = 0
        for pid in {*self._roots, *(child for root in self._roots for child in descendants(root))}:
            self._last_seen[pid] = moment
            for task in Path(f"/proc/{pid}/task").glob("*/schedstat"):
                try:
                    # Three numbers: time on a processor, time in wait of one (ns), turns.
                    waited = int(task.read_text().split()[1])
                except OSError:  # it has just ended
                    continue
                thread = (pid, task.parent.name)
                more += waited - self._waited.get(thread, 0)
                self._waited[thread] = waited
        # One thing comes after the other, in whichever thread: it never waits longer than time goes.
        last, waited_before = self._history[-1] if self._history else (moment, 0.0)
        stalled = moment - last - 2 * SAMPLE_SECONDS
        waited = min(max(more / 1e9, stalled), moment - last)
        self._history.append((moment, waited_before + waited))


@contextmanager
def remote_product(directory: Path) -> Iterator[tuple[Product, KitServer]]:
    """The product with a token behind a network HSM."""
    (directory / "kit").mkdir()
    with kit_vendor(directory / "kit") as (vendor, server):
        words = ("--module", str(vendor.module), "--token", vendor.label)
        process, product = start_dev(
            directory / "state",
            *(*words, "--pin-file", str(vendor.pin_file)),
            env=vendor.environment,
        )
        try:
            yield product, server
        finally:
            server.thaw()
            assert stop_dev(process) == 0


def watch(product: Product) -> Stopwatch:
    return Stopwatch(os.getpid(), product.pid)


def cut(product: Product, server: KitServer, *, times: int) -> None:
    """Break the connections under load: callers do not see it."""
    with Load(product) as load:
        for _ in range(times):
            server.cut()
            load.wait()
    assert load.faults == []
    assert set(load.outcomes) == {(201, "")}
    assert figure(product, "sealwright_hsm_reinitialisations_total") > 0
    assert figure(product, "sealwright_hsm_relogins_total") > 0


def vanish(product: Product, server: KitServer, *, times: int) -> None:
    """Let the HSM go away and come back under load: callers see a 503, and soon success."""
    with Load(product) as load, watch(product) as clock:
        for _ in range(times):
            server.kill()
            load.until_refused(5 * CALLERS)
            load.until(lambda: state(product) == "unavailable")
            server.start()
            back = time.monotonic()
            assert clock.seconds(back, load.wait()) <= RECOVERY_SECONDS
        # Each worker has to find out by itself, and may be asked just before it does.
        load.until(lambda: state(product) == "ready")
    assert load.faults == []
    assert set(load.outcomes) <= {(201, ""), *AWAY}
    assert set(load.others) == {200}


def freeze(product: Product, server: KitServer, *, connections: bool) -> None:
    """Let it answer nobody under load: a worker ends, everybody else works on, and it returns."""
    ends = figure(product, "sealwright_hsm_watchdog_ends_total")
    with Load(product) as load, watch(product) as clock:
        workers = frozenset(descendants(product.pid))
        server.freeze()
        frozen = time.monotonic()
        load.until_refused(2 * CALLERS)
        load.until(lambda: state(product) == "quarantined")
        assert figure(product, "sealwright_hsm_quarantined") == 1
        # A worker ends, and its successor keeps away from the HSM too.
        load.until(lambda: figure(product, "sealwright_hsm_watchdog_ends_total") > ends)
        load.until(lambda: bool(clock.gone(workers)))
        assert clock.seconds(frozen, min(clock.gone(workers).values())) <= WORKER_SECONDS
        load.until_refused(5 * CALLERS)
        seen = load.others[200]
        load.until(lambda: load.others[200] > seen + 5)
        server.thaw()
        back = time.monotonic()
        assert clock.seconds(back, load.wait()) <= RECOVERY_SECONDS
        if connections:
            # Once more, by connections that hang while new ones are answered.
            server.freeze_connections()
            load.until_refused(1)
            load.wait()
    assert load.faults == []
    assert set(load.outcomes) <= {(201, ""), *AWAY, (503, "hsm-quarantined")}
    assert set(load.others) == {200}
    load.until(lambda: state(product) == "ready")
    for action in ("hsm.quarantined", "hsm.quarantine-lifted"):
        path = f"/v1/audit-events?action={action}"
        # Events are found as soon as their log holds them.
        load.until(lambda path=path: product.call("GET", path, who="auditor").body["items"])

"""A network HSM that vanishes and freezes under load, and the whole product in front of it.

`p11-kit server` serves SoftHSM on a socket; gunicorn's workers and the delivery loop reach it each
by a connection of its own. Nothing is restarted by hand, and callers never see more than a 503.
"""

from __future__ import annotations

import base64
import re
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Self

import pytest
import urllib3

from service.domain.keys import Scheme
from service.domain.public_keys import PublicKey
from tests.support.product import Product, start_dev, stop_dev
from tests.support.vendors import KitServer, kit_vendor

CALLERS = 4
PATIENCE = 60.0
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

    def wait(self) -> None:
        """Wait until every caller gets another signature."""
        began = time.monotonic()
        self.until(lambda: min(self.answered) > began)

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, self.outcomes
            time.sleep(0.01)

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


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Product, KitServer]]:
    with kit_vendor(tmp_path_factory.mktemp("kit")) as (vendor, server):
        words = ("--module", str(vendor.module), "--token", vendor.label)
        process, product = start_dev(
            tmp_path_factory.mktemp("drill") / "state",
            *(*words, "--pin-file", str(vendor.pin_file)),
            env=vendor.environment,
        )
        try:
            yield product, server
        finally:
            server.thaw()
            assert stop_dev(process) == 0


def test_a_connection_that_breaks_under_load_is_not_seen_by_callers(
    remote: tuple[Product, KitServer],
) -> None:
    product, server = remote
    with Load(product) as load:
        for _ in range(3):
            server.cut()
            load.wait()
    assert load.faults == []
    assert figure(product, "sealwright_hsm_reinitialisations_total") > 0
    assert figure(product, "sealwright_hsm_relogins_total") > 0


def test_an_hsm_that_vanishes_under_load_is_used_again_when_it_is_back(
    remote: tuple[Product, KitServer],
) -> None:
    product, server = remote
    with Load(product) as load:
        for _ in range(2):
            server.kill()
            load.until_refused(5 * CALLERS)
            load.until(lambda: state(product) == "unavailable")
            server.start()
            load.wait()
        # Each worker has to find out by itself, and may be asked just before it does.
        load.until(lambda: state(product) == "ready")
    assert load.faults == []
    assert set(load.outcomes) <= {(201, ""), *AWAY}
    assert set(load.others) == {200}


@pytest.mark.timeout(180)
def test_an_hsm_that_freezes_under_load_costs_callers_a_503_and_everybody_else_nothing(
    remote: tuple[Product, KitServer],
) -> None:
    product, server = remote
    ends = figure(product, "sealwright_hsm_watchdog_ends_total")
    with Load(product) as load:
        server.freeze()
        load.until_refused(2 * CALLERS)
        load.until(lambda: state(product) == "quarantined")
        assert figure(product, "sealwright_hsm_quarantined") == 1
        # A worker ends, and its successor keeps away from the HSM too.
        load.until(lambda: figure(product, "sealwright_hsm_watchdog_ends_total") > ends)
        load.until_refused(5 * CALLERS)
        seen = load.others[200]
        load.until(lambda: load.others[200] > seen + 5)
        server.thaw()
        load.wait()
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

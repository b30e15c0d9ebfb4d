"""The small parts of the operations: pools, renewals, delays, annotations."""

from __future__ import annotations

import os
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.clock import SystemClock
from service.domain.errors import (
    InvalidRequestError,
    RegistryDeniedError,
    RegistryUnavailableError,
    StoreUnavailableError,
)
from service.domain.limits import MAX_ANNOTATIONS
from service.operations.choose import checked_annotations
from service.operations.deliver import HOPELESS_ATTEMPTS, RETRY_CAP_SECONDS, retry_delay
from service.operations.fanout import Fanout
from service.operations.renewal import LeaseRenewer


def test_results_keep_the_order_of_their_arguments() -> None:
    fanout = Fanout(4)
    assert fanout.map(lambda n: n * n, range(50)) == [n * n for n in range(50)]
    fanout.close()


def test_one_argument_needs_no_thread() -> None:
    here = threading.current_thread()
    assert Fanout(4).map(lambda _: threading.current_thread(), [1]) == [here]


def test_an_exception_of_a_call_is_raised() -> None:
    fanout = Fanout(2)
    with pytest.raises(ZeroDivisionError):
        fanout.map(lambda n: 1 // n, [1, 0, 1])
    fanout.close()


def test_a_pool_is_made_anew_in_a_forked_child() -> None:
    fanout = Fanout(2)
    fanout.map(str, range(4))
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, "".join(fanout.map(str, range(4))).encode())
        os._exit(0)
    os.close(writer)
    assert os.waitpid(child, 0)[1] == 0
    assert os.read(reader, 10) == b"0123"
    os.close(reader)
    fanout.close()


def test_a_held_lease_is_renewed_until_its_block_ends_even_if_one_renewal_fails() -> None:
    renewed = threading.Semaphore(0)
    calls = []

    def renew() -> None:
        calls.append(1)
        renewed.release()
        if len(calls) == 1:
            raise StoreUnavailableError

    renewer = LeaseRenewer(SystemClock())
    with renewer.holding(renew, every=0.05):
        assert renewed.acquire(timeout=60)
        assert renewed.acquire(timeout=60)
    ended = len(calls)
    time.sleep(0.2)
    assert len(calls) <= ended + 1


@given(st.integers(0, 200))
def test_a_registry_that_is_away_is_retried_for_ever_and_ever_more_seldom(attempts: int) -> None:
    delay = retry_delay(attempts, RegistryUnavailableError())
    assert delay is not None
    assert 0 < delay <= RETRY_CAP_SECONDS * 1.25


def test_a_registry_that_says_when_is_believed() -> None:
    delay = retry_delay(0, RegistryUnavailableError(retry_after=600.0))
    assert delay is not None
    assert delay >= 600.0


def test_a_refusal_that_no_retry_mends_is_parked_after_a_few() -> None:
    assert retry_delay(0, RegistryDeniedError()) is not None
    assert retry_delay(HOPELESS_ATTEMPTS - 1, RegistryDeniedError()) is None


def test_annotations_are_sorted() -> None:
    assert checked_annotations({"b": "2", "a": "1"}) == (("a", "1"), ("b", "2"))


@pytest.mark.parametrize(
    "annotations",
    [
        pytest.param({"dev.sealwright.x": "1"}, id="ours"),
        pytest.param({"": "1"}, id="no-name"),
        pytest.param({"n" * 300: "1"}, id="long-name"),
        pytest.param({"n": "v" * 5000}, id="long-value"),
        pytest.param({str(n): "v" for n in range(MAX_ANNOTATIONS + 1)}, id="too-many"),
    ],
)
def test_annotations_that_cannot_be_signed_are_refused(annotations: dict[str, str]) -> None:
    with pytest.raises(InvalidRequestError):
        checked_annotations(annotations)

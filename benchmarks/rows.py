"""The rows of the table: how each is measured in a round, beside its ceiling.

The machine moves by a factor within the hour. So a ceiling is measured right before and right
after what is held against it, and only ratios within one round are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks import load
from benchmarks.calls import API, signing_request
from benchmarks.ceilings import (
    Rate,
    commit_milliseconds,
    comp,
    mean,
    raw,
    software_verification,
)
from benchmarks.load import Load, Measured
from benchmarks.processes import CORES, Meter, Split, proportional_bytes, resident_bytes
from benchmarks.product import Product
from benchmarks.registry import Registry

BATCH: Final = 1000
BATCH_CLIENTS: Final = 4
SINGLE_CONNECTIONS: Final = 16
FLUSHES: Final = 5  # that a signature waits for in turn, alone or with others
IMAGES: Final = 100
UPLOADERS: Final = 8
MEBIBYTE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Times:
    """How long each part of a round is measured, in seconds, and how long it warms up."""

    ceiling: float = 0.8
    batch: float = 5.0
    single: float = 3.0
    warm_up: float = 0.5
    images: int = IMAGES


@dataclass(frozen=True, slots=True)
class Result:
    """One row in one round: ours, its ceiling, and the sentence that says where the rest went."""

    ours: float
    ceiling: float
    reason: str
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        return self.ours / self.ceiling


@dataclass(frozen=True, slots=True)
class Bench:
    """Everything that a round needs; it owns nothing."""

    product: Product
    api: API
    raw_program: Path
    times: Times

    # --- ceilings ---

    def _raw(self, threads: int) -> Rate:
        return raw(
            self.raw_program, self.product.raw_token, threads=threads, seconds=self.times.ceiling
        )

    def _ver(self) -> Rate:
        return software_verification(threads=2, seconds=self.times.ceiling)

    # --- rows ---

    def batch(self) -> Result:
        """A batch of 1,000, authorised, verified and on record, against COMP."""
        raw1 = self._raw(1)
        raw_before, ver_before = self._raw(2), self._ver()
        wanted = Load(
            self.product.address,
            partial(signing_request, self.product, BATCH, keep_alive=False),
            status=201,
            connections=BATCH_CLIENTS,
            keep_alive=False,
        )
        # A batch is long: without one round of warm-up the four clients are in step.
        measured, split = self._measured(wanted, self.times.batch, warm_up=3 * self.times.warm_up)
        ver, raw2 = mean(ver_before, self._ver()), mean(raw_before, self._raw(2))
        self.api.check(measured.last)
        ours = measured.per_second * BATCH
        spent = sum(split.workers) / ours * 1e6
        floor = raw2.cpu_microseconds + ver.cpu_microseconds
        reason = (
            f"a signature took {spent:.0f} µs of the workers' CPU, of which signing and verifying "
            f"alone are {floor:.0f} ({raw2.cpu_microseconds:.0f} and {ver.cpu_microseconds:.0f}, "
            f"as the ceilings spent them): at best {floor / spent:.2f}; {_cores(split)}"
        )
        figures = {
            "raw1_per_second": raw1.per_second,
            "raw2_per_second": raw2.per_second,
            "ver2_per_second": ver.per_second,
            "raw2_cpu_microseconds": raw2.cpu_microseconds,
            "ver2_cpu_microseconds": ver.cpu_microseconds,
            "worker_cpu_microseconds": spent,
            "of_raw2": ours / raw2.per_second,
        }
        return Result(ours, comp(raw2.per_second, ver.per_second), reason, figures)

    def single(self) -> Result:
        """One signature a request, against an empty answer of the same service."""
        empty = Load(
            self.product.address,
            lambda: load.http_request("GET", "/healthz", host=self.product.host),
            status=200,
            connections=SINGLE_CONNECTIONS,
            keep_alive=True,
        )
        one = Load(
            self.product.address,
            partial(signing_request, self.product, 1, keep_alive=True),
            status=201,
            connections=SINGLE_CONNECTIONS,
            keep_alive=True,
        )
        half = self.times.single / 2
        before, empty_split = self._measured(empty, half)
        measured, split = self._measured(one, self.times.single)
        after, _ = self._measured(empty, half)
        commit = commit_milliseconds(self.raw_program.parent, seconds=half / 4)
        self.api.check(measured.last)
        spent = sum(split.workers) / measured.per_second * 1e6
        floor = sum(empty_split.workers) / before.per_second * 1e6
        reason = (
            f"a request took {spent:.0f} µs of the workers' CPU, an empty one {floor:.0f}: at "
            f"best {floor / spent:.2f}. Of the {SINGLE_CONNECTIONS / measured.per_second * 1e3:.0f} "
            f"ms until its answer, {FLUSHES} flushes one after the other (intent, outcome, leaf, "
            f"checkpoint kept, checkpoint published) take {FLUSHES * commit:.1f} if nobody else "
            f"writes; {_cores(split)}"
        )
        figures = {
            "worker_cpu_microseconds": spent,
            "empty_cpu_microseconds": floor,
            "commit_milliseconds": commit,
        }
        return Result(
            measured.per_second, (before.per_second + after.per_second) / 2, reason, figures
        )

    def attach(self, repository: str) -> Result:
        """Sign and attach a batch of images, against a bare loop of as many uploads."""
        count = self.times.images
        registry = Registry(self.product.registry, repository, UPLOADERS)
        digests = registry.push_images(count)
        # Half of the loop before and half after, so that a drift of the machine hits both.
        first, bare = self._split(lambda: registry.upload_bare(count // 2))
        took, ours = self._split(lambda: self.api.sign_and_attach(repository, digests))
        second = registry.upload_bare(count - count // 2)
        per_image = [
            cores * seconds / images * 1e3
            for cores, seconds, images in (
                (sum(ours.workers), took, count),
                (ours.registry, took, count),
                (bare.generator, first, count // 2),
                (bare.registry, first, count // 2),
            )
        ]
        reason = (
            f"an image took {per_image[0]:.1f} ms of our CPU and {per_image[1]:.1f} ms of the "
            f"registry's, in the bare loop {per_image[2]:.1f} and {per_image[3]:.1f}: at best "
            f"{sum(per_image[2:]) / sum(per_image[:2]):.2f} where the CPU is the limit; "
            f"{_cores(ours)}"
        )
        names = ("our_ms", "registry_ms", "bare_ms", "bare_registry_ms")
        figures = dict(zip(names, per_image, strict=True))
        return Result(count / took, count / (first + second), reason, figures)

    def memory(self) -> float:
        """Return the MiB of the largest worker, now that it has done all this."""
        return max(resident_bytes(pid) for pid in self.product.workers()) / MEBIBYTE

    def proportional_memory(self) -> float:
        """Return the same with shared pages in proportion, as they lie in memory once."""
        return max(proportional_bytes(pid) for pid in self.product.workers()) / MEBIBYTE

    # --- how ---

    def _measured(
        self, wanted: Load, seconds: float, *, warm_up: float | None = None
    ) -> tuple[Measured, Split]:
        readings: list[Meter] = []
        warm = self.times.warm_up if warm_up is None else warm_up
        workers, registries = self.product.workers(), self.product.registries()
        measured = load.run(
            wanted,
            warm_up=warm,
            seconds=seconds,
            at_borders=lambda: readings.append(Meter.read(workers, registries)),
        )
        return measured, Split.between(*readings)

    def _split(self, act: Callable[[], float]) -> tuple[float, Split]:
        workers, registries = self.product.workers(), self.product.registries()
        before = Meter.read(workers, registries)
        took = act()
        return took, Split.between(before, Meter.read(workers, registries))


def _cores(split: Split) -> str:
    shares = " and ".join(f"{share:.2f}" for share in split.workers)
    return (
        f"of {CORES} cores the workers had {shares}, the registry {split.registry:.2f}, the load "
        f"generator {split.generator:.2f}, all else {split.others:.2f}, and {split.idle:.2f} idled"
    )

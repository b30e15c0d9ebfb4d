"""The meter over prometheus-client, in its mode for several processes."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import prometheus_client as prometheus
from prometheus_client import values
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector

from service.metrics.files import prepare, reading
from service.ports.metrics import COUNTERS, HISTOGRAMS, Counter, Histogram, Reading


class PrometheusMeter:
    """Counts in files of `directory`, and exposes what all processes counted there.

    `_counters` and `_histograms` are caches of what prometheus-client looks up under a lock;
    a race makes the same entry twice, which does no harm. A child forked off goes on with
    files of its own.
    """

    def __init__(self, directory: Path) -> None:
        """Set up counting in this process.

        PROMETHEUS_MULTIPROC_DIR must name `directory`: the library reads nothing else.

        Raises:
            OSError: the files cannot be made.
        """
        prepare(directory)
        self._directory = directory
        # Decided by the library when it is first imported, which may have been too early.
        values.ValueClass = values.MultiProcessValue()
        self._families: Final = {
            counter.name: prometheus.Counter(
                counter.name, counter.help, counter.labels, registry=None
            )
            for counter in COUNTERS
        }
        self._histogram_families: Final = {
            histogram.name: prometheus.Histogram(
                histogram.name,
                histogram.help,
                histogram.labels,
                buckets=histogram.buckets,
                registry=None,
            )
            for histogram in HISTOGRAMS
        }
        self._counters: dict[tuple[str, tuple[str, ...]], prometheus.Counter] = {}
        self._histograms: dict[tuple[str, tuple[str, ...]], prometheus.Histogram] = {}

    def count(self, counter: Counter, *labels: str, by: int = 1) -> None:
        child = self._counters.get((counter.name, labels))
        if child is None:
            child = self._families[counter.name].labels(*labels)
            self._counters[counter.name, labels] = child
        child.inc(by)

    def observe(self, histogram: Histogram, value: float, *labels: str) -> None:
        child = self._histograms.get((histogram.name, labels))
        if child is None:
            child = self._histogram_families[histogram.name].labels(*labels)
            self._histograms[histogram.name, labels] = child
        child.observe(value)

    def text(self, readings: Iterable[Reading]) -> bytes:
        registry = prometheus.CollectorRegistry()
        MultiProcessCollector(registry, os.fspath(self._directory))
        registry.register(_Gauges(readings))
        with reading(self._directory):
            return prometheus.generate_latest(registry)


class _Gauges:
    """The readings as a collector; those of one gauge are told together."""

    def __init__(self, readings: Iterable[Reading]) -> None:
        self._readings = tuple(readings)

    def collect(self) -> Iterable[GaugeMetricFamily]:
        families: dict[str, GaugeMetricFamily] = {}
        for each in self._readings:
            gauge = each.gauge
            if gauge.name not in families:
                families[gauge.name] = GaugeMetricFamily(
                    gauge.name, gauge.help, labels=gauge.labels
                )
            families[gauge.name].add_metric(each.labels, each.value)
        return families.values()

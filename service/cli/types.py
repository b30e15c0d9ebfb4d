"""Types of arguments that several commands take."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

import click

from service.domain.clock import Clock, SystemClock, rfc3339

_DURATION: Final = re.compile(r"([0-9]{1,6})(ms|s|m|h|d)")
_SECONDS: Final = MappingProxyType({"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0})


def parse_duration(text: str) -> float:
    """Return the seconds of `500ms`, `30s`, `5m`, `2h` or `90d`. Raises ValueError."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"not a duration: {text!r}")
    return int(match[1]) * _SECONDS[match[2]]


class Duration(click.ParamType[float]):
    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if isinstance(value, float):
            return value
        try:
            return parse_duration(value)
        except ValueError:
            self.fail(f"{value!r} is not a duration such as 30s, 5m or 2h", param, ctx)


class Moment(click.ParamType[str]):
    """A time of RFC 3339, or a duration from now on (or back, where it asks for the past).

    The value is the time as the API takes it.
    """

    name = "duration or time"

    def __init__(self, *, past: bool = False, clock: Clock | None = None) -> None:
        self._sign = -1 if past else 1
        self._clock = clock or SystemClock()

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            distance = timedelta(seconds=parse_duration(value)) * self._sign
            return rfc3339(self._clock.now() + distance)
        except ValueError:
            pass
        try:
            return rfc3339(datetime.fromisoformat(value))
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is neither 90d nor 2027-01-31T00:00:00Z", param, ctx)


class Pair(click.ParamType[tuple[str, str]]):
    name = "name=value"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        name, equals, rest = str(value).partition("=")
        if not name or not equals:
            self.fail(f"{value!r} is not name=value", param, ctx)
        return name, rest

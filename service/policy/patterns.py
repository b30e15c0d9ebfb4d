"""Patterns for repositories: `*` stands for anything within one path component, `**` for
anything at all. `registry.example.com/team/*` covers `…/team/app`, not `…/team/app/base`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"(\*\*|\*)", pattern)
    translated = {"**": ".*", "*": "[^/]*"}
    return re.compile("".join(translated.get(part, re.escape(part)) for part in parts))


def matches(pattern: str, text: str) -> bool:
    return _compiled(pattern).fullmatch(text) is not None


def any_matches(patterns: Iterable[str], text: str) -> bool:
    """No patterns cover nothing."""
    return any(matches(pattern, text) for pattern in patterns)

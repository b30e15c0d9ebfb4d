"""YAML as configuration files must be: plain values, and no name twice in one mapping."""

from __future__ import annotations

from typing import Any

import yaml

from service.domain.errors import ConfigurationError


def load(content: bytes) -> Any:
    """Parse one document into plain values.

    Raises:
        ConfigurationError: it is not YAML, or a mapping has one name twice.
    """
    try:
        # _UniqueLoader is a SafeLoader: it makes plain values only.
        return yaml.load(content, Loader=_UniqueLoader)  # noqa: S506
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ConfigurationError(f"not YAML: {error}") from error


class _UniqueLoader(yaml.SafeLoader):
    """Refuses what YAML 1.1 forbids and PyYAML lets pass: one key twice in a mapping."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key.value} stands there twice", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)

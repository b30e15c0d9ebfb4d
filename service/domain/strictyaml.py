"""YAML as configuration files must be: plain values, and no name twice in one mapping."""

from __future__ import annotations

from typing import Any

import yaml


def load(content: bytes) -> Any:
    """Parse one document into plain values.

    Raises:
        ValueError: it is not YAML, or a mapping has one name twice; the message is for people.
    """
    try:
        # _UniqueLoader is a SafeLoader: it makes plain values only.
        return yaml.load(content, Loader=_UniqueLoader)  # noqa: S506
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ValueError(f"not YAML: {error}") from error


class _UniqueLoader(yaml.SafeLoader):
    """Refuses what YAML 1.1 forbids and PyYAML lets pass: one key twice in a mapping."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for name in names:
            if names.count(name) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{name} stands there twice", node.start_mark
                )
        return super().construct_mapping(node, deep=deep)

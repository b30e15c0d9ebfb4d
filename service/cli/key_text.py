"""Keys and versions as people read them."""

from __future__ import annotations

from typing import Any

from service.cli.output import say


def say_key(key: dict[str, Any]) -> None:
    say(f"{key['name']}: {key['purpose']} key, {key['algorithm']}, made {key['created_at']}")
    for version in key["versions"]:
        say(f"  {_version(version)}")
        _say_places(version, "    ")


def say_version(version: dict[str, Any]) -> None:
    say(f"{version['key']} {_version(version)}")
    _say_places(version, "  ")


def say_key_or_version(made: dict[str, Any]) -> None:
    if "versions" in made:
        say_key(made)
    else:
        say_version(made)


def _version(version: dict[str, Any]) -> str:
    state = version["state"]
    if version["compromised"]:
        since = version["compromised_since"]
        when = f"since {since}" if since is not None else "from the beginning"
        state = f"{state} (compromised {when})"
    kind, fingerprint = version["algorithm"], version["fingerprint"]
    return f"version {version['version']}: {state}, {kind}, sha256 {fingerprint}"


def _say_places(version: dict[str, Any], indent: str) -> None:
    certificate = version["certificate"]
    if certificate is not None:
        origin, until = certificate["origin"], certificate["not_after"]
        whose = origin if origin == "imported" else f"{origin}, self-made"
        say(f"{indent}certificate {certificate['subject']} ({whose}), until {until}")
    for place in version.get("locations", ()):
        where = f"on token {place['token']} ({place['serial']}): {place['state']}"
        say(f"{indent}{where}, CKA_ID {version['cka_id']}")
    attributes = version.get("attributes")
    if attributes is not None:
        words = {True: "yes", False: "no", None: "not told"}
        said = ", ".join(
            f"{name.replace('_', ' ')} {words[value]}" for name, value in attributes.items()
        )
        say(f"{indent}{said}")

"""The tokens file: read whole, every fault at once, none of it silently overlooked."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.bootstrap.settings import Settings
from service.bootstrap.tokens_file import TokenSettings, load_tokens, parse_tokens
from service.domain.errors import ConfigurationError

CLONES = """
tokens:
  - module: /opt/a.so
    label: release
    serial: "0123"
    pin_file: /run/secrets/pin
    pin_next_file: /run/secrets/pin-next
  - {module: /opt/b.so, label: release, serial: "0123", pin_file: /run/secrets/pin}
  - {name: lab, module: /opt/b.so, label: test, pin_file: /run/secrets/lab, init_args: "configdir='x'"}
"""


def faults_of(text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        parse_tokens(text.encode())
    return list(caught.value.faults)


def entries(*given: str) -> str:
    common = "module: /a.so, label: l, pin_file: /p"
    return "tokens: [" + ", ".join(f"{{{one or common}}}" for one in given) + "]"


def test_tokens_are_read_in_order_and_clones_behind_other_modules_are_allowed() -> None:
    text = CLONES.replace(", init_args: \"configdir='x'\"", "")
    first, second, third = parse_tokens(text.encode())
    assert first == TokenSettings(
        Path("/opt/a.so"),
        "release",
        "0123",
        Path("/run/secrets/pin"),
        pin_next_file=Path("/run/secrets/pin-next"),
        name="release",
    )
    assert (second.module, second.name, second.pin_next_file) == (
        Path("/opt/b.so"),
        "release",
        None,
    )
    assert (third.name, third.label, third.serial) == ("lab", "test", None)


def test_every_fault_is_reported_at_once() -> None:
    assert faults_of(
        """
        tokens:
          - label: l
            pin: "1234"
          - {module: lib.so, label: 7, serial: 0123, pin_file: "${HOME}/pin"}
          - not a mapping
          - {module: /a.so, label: "", pin_file: /p, pin_next_file: no/slash}
          - {module: /a.so, label: " l", pin_file: /p, name: "a\\nb"}
          - {module: /a.so, label: 123456789012345678901234567890123, pin_file: /p}
          - {module: /a.so, label: "123456789012345678901234567890é32", pin_file: /p, serial: "12345678901234567"}
        """
    ) == [
        "tokens[0].pin: no such field",
        "tokens[0].module: missing",
        "tokens[0].pin_file: missing",
        "tokens[1].label: not a text; put it in quotes",
        "tokens[1].module: not an absolute path",
        "tokens[1].serial: not a text; put it in quotes",
        "tokens[1].pin_file: variables are not expanded here; name the value or a file",
        "tokens[2]: not a mapping",
        "tokens[3].label: empty, or has blanks around it or characters that do not print",
        "tokens[3].pin_next_file: not an absolute path",
        "tokens[4].label: empty, or has blanks around it or characters that do not print",
        "tokens[4].name: empty, or has blanks around it or characters that do not print",
        "tokens[5].label: not a text; put it in quotes",
        "tokens[6].label: longer than 32 bytes",
        "tokens[6].serial: longer than 16 bytes",
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "not a mapping with exactly"),
        ("[]", "not a mapping with exactly"),
        ("tokens: []", "not a list of one token or more"),
        ("tokens: {}", "not a list of one token or more"),
        ("tokens: []\nmore: 1", "not a mapping with exactly"),
        ("tokens: [", "not YAML"),
        ("tokens: [{label: a, label: b}]", "label stands there twice"),
        (entries("", ""), "tokens[1]: tokens[0] may be the same token"),
        (
            entries("", "module: /a.so, label: l, serial: x, pin_file: /p, name: n"),
            "tokens[1]: tokens[0] may be the same token",
        ),
        (
            entries("", "module: /a.so, label: m, pin_file: /p, init_args: x"),
            "tokens[1].init_args: tokens[0] loads the same module with others",
        ),
        (
            entries("", "module: /b.so, label: l, serial: x, pin_file: /p"),
            "tokens[1].name: tokens[0] has the name too",
        ),
        (
            entries("", "module: /b.so, label: m, name: l, pin_file: /p"),
            "tokens[1].name: tokens[0] has the name too",
        ),
        (
            entries("module: /a.so, label: l, name: n, pin_file: /p", "module: /b.so, label: m, name: l, pin_file: /p"),
            "tokens[1].name: tokens[0] has it for a label",
        ),
        (
            entries("module: /a.so, label: l, name: m, pin_file: /p", "module: /b.so, label: m, name: n, pin_file: /p"),
            "tokens[1].label: tokens[0] has it for a name",
        ),
    ],
)  # fmt: skip
def test_what_could_mean_two_things_is_refused(text: str, fault: str) -> None:
    assert any(fault in told for told in faults_of(text))


def test_clones_may_have_names_of_their_own() -> None:
    a, b = parse_tokens(
        entries(
            "module: /a.so, label: l, serial: x, pin_file: /p, name: first",
            "module: /b.so, label: l, serial: x, pin_file: /p, name: second",
        ).encode()
    )
    assert (a.name, b.name) == ("first", "second")


def test_settings_read_the_file_or_the_variables_and_never_both(tmp_path: Path) -> None:
    file = tmp_path / "tokens.yaml"
    file.write_text(entries(""))
    env = {"SEALWRIGHT_TOKENS_FILE": str(file)}
    assert Settings.read(env).tokens == load_tokens(file)
    alone = {
        "SEALWRIGHT_PKCS11_MODULE": "/a.so",
        "SEALWRIGHT_TOKEN_LABEL": "l",
        "SEALWRIGHT_PIN_FILE": "/p",
        "SEALWRIGHT_PIN_NEXT_FILE": "/q",
    }
    [token] = Settings.read(alone).tokens
    assert token.pin_next_file == Path("/q")
    with pytest.raises(ConfigurationError) as caught:
        Settings.read({**alone, **env})
    assert list(caught.value.faults) == [
        f"SEALWRIGHT_TOKENS_FILE and {name} are both set" for name in alone
    ]


def test_faults_of_the_file_are_faults_of_the_settings_where_a_token_is_needed(
    tmp_path: Path,
) -> None:
    file = tmp_path / "tokens.yaml"
    env = {"SEALWRIGHT_TOKENS_FILE": str(file), "SEALWRIGHT_WORKERS": "many"}
    with pytest.raises(ConfigurationError) as caught:
        Settings.read(env)
    assert [fault.split(":")[0] for fault in caught.value.faults] == [
        "SEALWRIGHT_TOKENS_FILE",
        "SEALWRIGHT_WORKERS must be 1 to 64, not 'many'",
    ]
    file.write_bytes(b"tokens: [] #" + b"x" * (1024 * 1024))
    with pytest.raises(ConfigurationError, match="more than"):
        load_tokens(file)
    assert Settings.read({"SEALWRIGHT_TOKENS_FILE": str(file)}, need_token=False).tokens == ()

"""What the documentation tells people to type exists, and the tutorial really runs."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import click
import pytest

from service.cli.main import cli
from service.formats.rfc3161 import token_of
from tests.support.ports import free_port
from tests.support.product import Product, dev_environment

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
LOG = ROOT / "docs" / "log.md"
OPERATIONS = ROOT / "docs" / "operations.md"
CERTIFICATES = ROOT / "docs" / "certificates.md"
TUTORIAL = ROOT / "docs" / "getting-started.md"
KEYS = ROOT / "docs" / "keys.md"
CEREMONIES = ROOT / "docs" / "ceremonies.md"
RELEASE_KEY = ROOT / "docs" / "release-key.md"
TIMESTAMPS = ROOT / "docs" / "timestamps.md"
TRUST = ROOT / "docs" / "trust.md"
VERIFICATION = ROOT / "docs" / "verification.md"
SHELL = {
    *("export", "openssl", "cat", "curl", "bash", "python3", "ssh-keygen", "echo", "set", "."),
    *("mkdir", "ln", "cosign", "notation"),  # tests/conformance types the last two
    *("cp", "chmod", "psql", "createdb", "systemctl"),  # tests/tooling/test_operating_guide.py
}
ATTESTATIONS = ROOT / "docs" / "attestations.md"


def console(page: Path) -> Iterator[str]:
    """Yield the commands of the blocks marked `console`: what follows `$ `."""
    for block in re.findall(r"^```console\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE):
        for line in block.splitlines():
            assert line.startswith("$ "), f"{page.name}: {line}"
            yield line[2:]


def commands() -> list[tuple[str, str]]:
    every = ((page.name, command) for page in PAGES for command in console(page))
    return list(dict.fromkeys(every))  # a guide may type the same twice


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))


def check_sealwright(words: list[str]) -> None:
    """Walk our own command line down to the command, and look up each of its options."""
    group: click.Command = cli
    context = click.Context(cli, info_name="sealwright")
    rest = list(words)
    while isinstance(group, click.Group):
        name = rest.pop(0)
        found = group.get_command(context, name)
        assert found is not None, f"no such command: {name!r}"
        group = found
    known = {option for parameter in group.params for option in parameter.opts}
    used = {word.partition("=")[0] for word in rest if word.startswith("--")}
    assert used <= known, f"no such option: {used - known}"


@pytest.mark.parametrize(("page", "command"), commands())
def test_a_documented_command_exists(page: str, command: str) -> None:
    for within in re.findall(r"\$\(sealwright ([^)]*)\)", command):
        check_sealwright(shlex.split(within))
    command = re.sub(r"\$\(sealwright [^)]*\)", "OUTPUT", command)
    words = [word for word in shlex.split(command) if not re.match(r"[A-Z_]+=", word)]
    if ">" in words:
        words = words[: words.index(">")]
    match words:
        case ["make", *targets]:
            assert set(targets) <= make_targets()
        case [program, *rest] if Path(program).name == "sealwright":
            check_sealwright(rest)
        case [program, *_]:
            assert program in SHELL, f"{page}: nothing checks {program!r}"
        case _:
            raise AssertionError(f"{page}: an empty command")


@pytest.mark.parametrize("command", ["no-such-command", "sign --no-such-option IMAGE"])
def test_the_check_notices_what_does_not_exist(command: str) -> None:
    with pytest.raises(AssertionError, match="no such"):
        check_sealwright(shlex.split(command))


def test_the_readme_names_the_two_commands() -> None:
    said = {command for name, command in commands() if name == "README.md"}
    assert {"make demo", "make test"} <= said


def test_every_make_target_tells_what_it_does() -> None:
    text = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: ((?:.*\\\n)*.*)$", text, re.MULTILINE)
    assert phony is not None
    named = set(phony[1].replace("\\\n", " ").split())
    assert {name for name in named if not name.endswith("-packages")} == make_targets()


def test_links_between_pages_lead_somewhere() -> None:
    broken = [
        f"{page.name}: {target}"
        for page in PAGES
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
        if not (page.parent / target).exists()
    ]
    assert broken == []


def typed_in(product: Product, directory: Path, typed: list[str]) -> str:
    """Type the commands into one shell, with the places of the product put in; return its output."""
    script = "\n".join(typed)
    for written, real in (
        ("http://127.0.0.1:8750", product.url),
        ("127.0.0.1:5000", product.registry),
        (".state/dev", str(product.state)),
    ):
        script = script.replace(written, real)
    return run(script, directory)


def run(script: str, directory: Path) -> str:
    script = script.replace("$PWD/.venv/bin", str(Path(sys.executable).parent))
    done = subprocess.run(
        ["bash", "-euc", f"set -o pipefail\n{script}"],
        cwd=directory,
        env={"PATH": os.environ["PATH"], "HOME": str(directory)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_tutorial_runs_as_it_is_written(product: Product, tmp_path: Path) -> None:
    """All but its first two commands, which set up and start what the fixture has started."""
    make, start, *typed = console(TUTORIAL)
    assert make == "make demo"
    assert "sealwright dev" in start
    product.images.push_image("demo/app", "1.0")
    said = typed_in(product, tmp_path, typed)
    assert "signed  " in said
    assert "verified  " in said
    assert '"succeeded": 1' in said or '"succeeded":1' in said


# A key of others, made where nothing else uses the product's token.
FOREIGN = """
import sys
from pathlib import Path
import pkcs11
from cryptography.hazmat.primitives import serialization
from pkcs11.util.ec import encode_ec_public_key, encode_named_curve_parameters

module, label, pin_file, output = sys.argv[1:]
token = pkcs11.lib(module).get_token(token_label=label)
with token.open(rw=True, user_pin=Path(pin_file).read_text()) as session:
    curve = {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}
    domain = session.create_domain_parameters(pkcs11.KeyType.EC, curve, local=True)
    public, _ = domain.generate_keypair(store=True, id=b"theirs", label="old")
    loaded = serialization.load_der_public_key(encode_ec_public_key(public))
    Path(output).write_bytes(
        loaded.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
"""


def test_the_custodians_guide_runs_as_it_is_written(product: Product, tmp_path: Path) -> None:
    env = dev_environment(product)
    words = [env[f"SEALWRIGHT_{name}"] for name in ("PKCS11_MODULE", "TOKEN_LABEL", "PIN_FILE")]
    subprocess.run(
        [sys.executable, "-c", FOREIGN, *words, str(tmp_path / "old.pem")],
        env={**os.environ, **env},
        check=True,
    )
    said = typed_in(product, tmp_path, list(console(KEYS)))
    for expected in (
        "shop: image key, ec-p256",
        "shop version 2: active",
        "shop version 4: suspended",
        "shop version 3: compromised (compromised since ",
        '"code":"key-compromised"',
        "pending: destroy shop/1 needs 1 more person",
        "version 1: destroyed",
        "shop-old: image key, ec-p256",
        "Verified OK",
    ):
        assert expected in said


# `sealwright serve` as a reader leaves it running in another terminal.
SERVE = """
sealwright serve >serve.log 2>&1 &
trap 'kill $!; wait $!' EXIT
until curl --fail --silent --output /dev/null http://127.0.0.1:8750/readyz; do kill -0 $!; sleep 0.1; done
"""


def test_an_empty_token_becomes_a_release_key_by_the_page_as_it_is_written(tmp_path: Path) -> None:
    """No `dev`, and nothing that is not on the page but the port."""
    make, *typed = console(RELEASE_KEY)
    assert make == "make token"
    subprocess.run(
        [str(ROOT / "softhsm-setup.sh"), str(tmp_path / ".state")],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    policy, registries = re.findall(
        r"^```yaml\n(.*?)^```", RELEASE_KEY.read_text(), re.DOTALL | re.MULTILINE
    )
    (tmp_path / "policy.yaml").write_text(policy)
    (tmp_path / "registries.yaml").write_text(registries)
    bind = f"127.0.0.1:{free_port()}"
    typed[typed.index("sealwright serve")] = SERVE
    script = "\n".join([f"export SEALWRIGHT_BIND={bind}", *typed])
    said = run(script.replace("127.0.0.1:8750", bind), tmp_path)
    for expected in (
        "pending: credential keeper-3 needs 2 more people",
        "pending: generate release needs 1 more person",
        "pending: generate own-ca needs 1 more person",
        "pending: certificate-import release/1 needs 1 more person",
        "version 1: retired, ec-p256",
        "version 2: active, ec-p256",
        "certificate CN=release v2,OU=self-made by Sealwright,O=Example,ST=Bern,C=CH",
        "as cosign by release v2",
        "pending: destroy release/1 needs 1 more person",
        'state: "destroyed"',
    ):
        assert expected in said
    assert "Katherine Johnson" in (tmp_path / "release-minutes.html").read_text()
    assert "release" in (tmp_path / "ceremony.html").read_text()
    assert (tmp_path / "trust" / "cosign.pub").exists()


def test_the_page_on_verification_runs_as_it_is_written(product: Product, tmp_path: Path) -> None:
    """But for the bundle of sigstore's public instance, which nobody can make here."""
    typed = [line for line in console(VERIFICATION) if "app.tar" not in line]
    said = typed_in(product, tmp_path, typed)
    assert "verified\n" in said
    assert "  predicate type https://sigstore.dev/cosign/sign/v1\n" in said


def test_the_page_on_certificates_runs_as_it_is_written(product: Product, tmp_path: Path) -> None:
    said = typed_in(product, tmp_path, list(console(CERTIFICATES)))
    assert "chain.pem: OK" in said
    assert "lab.pem: OK" in said
    assert "(imported)" in said
    assert said.count("(own-ca, self-made)") == 2


def test_the_page_on_ceremonies_runs_as_it_is_written(product: Product, tmp_path: Path) -> None:
    said = typed_in(product, tmp_path, list(console(CEREMONIES)))
    for expected in (
        "pending: destroy vault/1 needs 1 more person",
        ": rejected",
        "version 1: destroyed",
        "evidence: the document and 1 signatures",
        'Good "sealwright-approval@sealwright.dev" signature for custodian-2',
        "pending: credential keeper needs 2 more people",
    ):
        assert expected in said
    assert "Generation of the key treasury" in (tmp_path / "treasury.html").read_text()
    assert "SSH signature holds" in (tmp_path / "vault-minutes.html").read_text()


def test_the_page_on_the_log_runs_as_it_is_written(product: Product, tmp_path: Path) -> None:
    digest = "0" * 64
    assert (
        product.sign(f"{product.registry}/logged/page@sha256:{digest}", attach=False).status == 201
    )
    said = typed_in(product, tmp_path, list(console(LOG)))
    assert said.count("verified\n") == 4
    assert "entry.tlog-proof: entry 0 of log-" in said
    assert "0 of them new; consistent" in said
    assert '"action":"key.created"' in said
    assert (tmp_path / "events.jsonl").read_text().count("\n") > 3


def test_the_page_on_trust_files_runs_as_it_is_written(product: Product, tmp_path: Path) -> None:
    said = typed_in(product, tmp_path, list(console(TRUST)))
    assert "README.md there has the command for each tool" in said
    assert (tmp_path / "trust" / "cosign.pub").read_text() == product.public_key()
    assert "ASN1 OID: prime256v1" in said
    assert "issuer=" in said
    assert '"type":"sigstoreSigned"' in said


def test_the_page_on_time_stamps_runs_as_it_is_written(product: Product, tmp_path: Path) -> None:
    typed_in(product, tmp_path, list(console(TIMESTAMPS)))
    answer = (tmp_path / "reply").read_bytes()
    assert token_of(answer)


def test_the_page_on_attestations_runs_as_it_is_written(product: Product, tmp_path: Path) -> None:
    product.images.push_image("demo/app", "1.0")
    assert product.sign(f"{product.registry}/demo/app:1.0").status == 201
    said = typed_in(product, tmp_path, list(console(ATTESTATIONS)))
    assert said.count("attested  ") == 2
    assert "attested: https://example.com/tests by build v1: verified" in said
    assert "verify-attestation --type TYPE" in said
    made = (tmp_path / "attest-trust" / "cosign.pub").read_text()
    assert made == product.public_key("build")


def test_the_chapters_on_backups_run_as_they_are_written(product: Product, tmp_path: Path) -> None:
    """On the service's machine, and then on an empty one."""
    *kept, restore = (c for c in console(OPERATIONS) if c.startswith("sealwright backup "))
    env = dev_environment(product)
    new = tmp_path / "new"
    new.mkdir()
    conf = new / "softhsm2.conf"
    conf.write_text(f"directories.tokendir = {new / 'tokens'}\n")
    places = {
        "SEALWRIGHT_STATE_DIR": str(new),
        "SEALWRIGHT_DATABASE_URL": f"sqlite:///{new / 'sealwright.db'}",
        "SOFTHSM2_CONF": str(conf),
    }
    path = 'export PATH="$PWD/.venv/bin:$PATH"'
    typed = [path, *exports(env), *kept, *exports(places), restore, "sealwright doctor"]
    said = run("\n".join(typed), tmp_path)
    assert "token sealwright-dev: copied, without its PIN" in said
    assert "sound    key release/1: signs" in said
    assert "restored; signing is stopped until" in said
    assert "sound  log signatures" in said


def exports(env: Mapping[str, str]) -> list[str]:
    return [f"export {name}={shlex.quote(value)}" for name, value in env.items()]

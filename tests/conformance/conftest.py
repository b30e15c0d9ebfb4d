"""The judges, and a builder that may use every key."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conformance.scenarios import Site
from tests.support.clients import client
from tests.support.cosign import Cosign
from tests.support.matrix import Record, render
from tests.support.product import Product, start_dev, stop_dev

MATRIX = pytest.StashKey[Record]()
Sign = Callable[..., list[dict[str, object]]]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--matrix", type=Path, help="Write the compatibility matrix into this file.")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[MATRIX] = Record()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config
) -> None:
    """Print the matrix where every cell of it was run; write it where every client did as it should."""
    made = config.stash[MATRIX]
    if not made.is_complete:
        return
    text = render(made)
    terminalreporter.write_line(text)
    file = config.getoption("matrix")
    if file is not None and exitstatus == pytest.ExitCode.OK:
        file.write_text(text)


@pytest.fixture(scope="session")
def record(pytestconfig: pytest.Config) -> Record:
    return pytestconfig.stash[MATRIX]


@pytest.fixture(scope="session")
def cosign(tmp_path_factory: pytest.TempPathFactory) -> Cosign:
    return Cosign(client("cosign"), tmp_path_factory.mktemp("cosign"))


@pytest.fixture(scope="session")
def older_cosign(tmp_path_factory: pytest.TempPathFactory) -> Cosign:
    return Cosign(client("cosign-2"), tmp_path_factory.mktemp("cosign-2"), is_older=True)


@pytest.fixture(scope="session")
def both_cosigns(cosign: Cosign, older_cosign: Cosign) -> list[Cosign]:
    return [cosign, older_cosign]


@pytest.fixture(scope="session")
def unstamped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A product that never gets an authority for time stamps.

    Kyverno 1.14 takes the first certificate of a stamp's token for the authority's, whichever it
    is, and refuses the signature.
    """
    place = tmp_path_factory.mktemp("unstamped")
    process, product = start_dev(place / "state")
    yield Site(product, builder_of_every_key(product), place)
    assert stop_dev(process) == 0


@pytest.fixture(scope="session")
def signer(product: Product) -> str:
    """Return the token of a builder that may use every key."""
    return builder_of_every_key(product)


def builder_of_every_key(product: Product) -> str:
    made = product.call(
        "POST",
        "/v1/credentials",
        {
            "name": "conformance",
            "person": "conformance",
            "role": "builder",
            "repositories": ["**"],
            "keys": ["*"],
        },
        who="admin",
    )
    assert made.status == 201, made.body
    return str(made.body["token"])


@pytest.fixture
def sign(product: Product, signer: str) -> Sign:
    def one(image: str, key: str = "release", **fields: object) -> list[dict[str, object]]:
        answer = product.call(
            "POST",
            "/v1/signatures",
            {"images": [{"reference": image}], "key": key, **fields},
            who=None,
            headers={"Authorization": f"Bearer {signer}"},
        )
        assert answer.status == 201, answer.body
        result = answer.body["results"][0]
        made = [*result["signatures"], *(s for c in result["children"] for s in c["signatures"])]
        assert {one["attachment"]["state"] for one in made} == {"attached"}
        return made

    return one


@pytest.fixture
def release(product: Product, tmp_path: Path) -> Path:
    file = tmp_path / "release.pem"
    file.write_text(product.public_key())
    return file

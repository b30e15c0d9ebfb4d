"""House rules that no linter knows, checked on the syntax tree (docs/architecture.md)."""

from __future__ import annotations

import ast
import io
import re
import subprocess
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("hsm", "service")
CLOCK = "service/domain/clock.py"


def sources() -> list[Path]:
    return [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def dotted(node: ast.AST) -> str:
    """Return `a.b.c` for such an expression, and "" for any other."""
    if isinstance(node, ast.Attribute):
        before = dotted(node.value)
        return f"{before}.{node.attr}" if before else ""
    return node.id if isinstance(node, ast.Name) else ""


def environment_reads(tree: ast.AST) -> Iterator[int]:
    """Yield the lines that touch the environment, also by way of `from os import …`."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute() if dotted(node) in ("os.environ", "os.environb", "os.getenv"):
                yield node.lineno
            case ast.ImportFrom(module="os", names=names):
                if {name.name for name in names} & {"environ", "environb", "getenv"}:
                    yield node.lineno


def clock_reads(tree: ast.AST) -> Iterator[int]:
    """Yield the lines that ask for the time of day; a monotonic clock dates nothing."""
    forbidden = {
        "time.time",
        "time.time_ns",
        "datetime.now",
        "datetime.utcnow",
        "datetime.today",
        "date.today",
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            name = dotted(node)
            if (
                name in ("time.time", "time.time_ns")
                or name.removeprefix("datetime.") in forbidden
                or name in forbidden
            ):
                yield node.lineno


def broad_handlers(text: str) -> Iterator[int]:
    """Yield the lines of `except Exception` or wider that have no comment to say why."""
    comments = {
        token.start[0]: token.string
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type == tokenize.COMMENT
    }
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.ExceptHandler):
            continue
        caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
        names = {"" if kind is None else dotted(kind) for kind in caught}
        if not names & {"", "Exception", "BaseException"}:
            continue
        last = node.body[-1]
        if isinstance(last, ast.Raise) and last.exc is None:
            continue  # it only cleans up on the way, whatever passes
        # On the line itself (beyond the name of a lint rule), or the lines between it and
        # the first statement, or the line before.
        near = range(node.lineno - 1, node.body[0].lineno + 1)
        said = [re.sub(r"#\s*noqa:\s*[A-Z0-9, ]+", "#", comments.get(line, "")) for line in near]
        if not any(re.search(r"[a-z]{2}", comment) for comment in said):
            yield node.lineno


def offences(rule: str) -> Iterator[str]:
    for path in sources():
        text = path.read_text()
        name = str(path.relative_to(ROOT))
        lines: Iterator[int] = iter(())
        match rule:
            case "environment" if path.name != "settings.py":
                lines = environment_reads(ast.parse(text))
            case "clock" if name != CLOCK:
                lines = clock_reads(ast.parse(text))
            case "broad except":
                lines = broad_handlers(text)
        yield from (f"{name}:{line}" for line in lines)


@pytest.mark.parametrize("rule", ["environment", "clock", "broad except"])
def test_the_house_rule_is_kept(rule: str) -> None:
    assert list(offences(rule)) == []


@pytest.mark.parametrize(
    ("find", "text"),
    [
        (environment_reads, "import os\nx = os.environ['A']\n"),
        (environment_reads, "import os\nx = os.getenv('A')\n"),
        (environment_reads, "from os import environ\n"),
        (clock_reads, "from datetime import datetime\nx = datetime.now()\n"),
        (clock_reads, "import datetime\nx = datetime.datetime.utcnow()\n"),
        (clock_reads, "import time\nx = time.time()\n"),
    ],
)
def test_the_rules_see_what_they_forbid(find: object, text: str) -> None:
    assert callable(find)
    assert list(find(ast.parse(text)))


def test_a_broad_except_needs_a_reason_and_a_reason_is_enough() -> None:
    bare = "try:\n    f()\nexcept Exception:\n    g()\n"
    only_lint = "try:\n    f()\nexcept Exception:  # noqa: BLE001\n    g()\n"
    explained = "try:\n    f()\nexcept Exception:  # the outermost rim\n    g()\n"
    passing = "try:\n    f()\nexcept BaseException:\n    g()\n    raise\n"
    narrow = "try:\n    f()\nexcept OSError:\n    g()\n"
    assert list(broad_handlers(bare)) == [3]
    assert list(broad_handlers(only_lint)) == [3]
    for text in (explained, passing, narrow):
        assert list(broad_handlers(text)) == []


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    return [path for path in paths if path.is_file()]


# Brackets keep the patterns from matching themselves.
FORBIDDEN = {
    "a home or work directory of one machine": r"(?<![\w.])/(?:roo[t]|wor[k]|hom[e]/\w+)/",
    "the address of a package index": r"--(?:extra-)?index-ur[l][ =]|find-link[s][ =]",
    "an unfinished thought without an issue": r"\bTOD[O]\b(?!\(#\d+\))|\bFIXM[E]\b",
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_tracked_file_has(what: str) -> None:
    pattern = re.compile(FORBIDDEN[what])
    found = []
    for path in tracked():
        try:
            text = path.read_text()
        except UnicodeDecodeError:  # a picture or an archive
            continue
        found += [
            f"{path.relative_to(ROOT)}:{number}"
            for number, line in enumerate(text.splitlines(), 1)
            if pattern.search(line)
        ]
    assert found == []


def test_the_lock_files_pin_every_dependency_by_hash() -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (ROOT / name).read_text()
        entries = re.split(r"\n(?=\S)", text.strip())
        assert len(entries) > 10
        for entry in entries:
            assert re.match(r"[\w.-]+==\S+", entry), entry[:80]
            assert "--hash=sha256:" in entry, entry[:80]


def test_every_declared_dependency_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    runtime = {canonical(text) for text in project["dependencies"]}
    every = runtime | {canonical(text) for text in project["optional-dependencies"]["dev"]}
    assert runtime <= locked("requirements.lock")
    assert every | locked("requirements.lock") <= locked("requirements-dev.lock")


def canonical(requirement: str) -> str:
    """Return the name as indexes compare it (PEP 503)."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found is not None
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def locked(name: str) -> set[str]:
    text = (ROOT / name).read_text()
    return {canonical(entry) for entry in re.findall(r"^([\w.-]+)==", text, re.MULTILINE)}

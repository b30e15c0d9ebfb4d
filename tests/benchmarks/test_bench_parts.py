"""Ceilings and the bare upload loop on real parts: a token, a registry, processes."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.ceilings import BenchmarkError, RawToken, compile_raw, raw, software_verification
from benchmarks.processes import descendants, resident_bytes
from benchmarks.registry import Registry
from service.domain.keys import Algorithm
from tests.support.keyrings import Keyrings
from tests.support.registry import DockerRegistry
from tests.support.softhsm import SoftHSM


@pytest.fixture(scope="module")
def raw_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_raw(tmp_path_factory.mktemp("raw"))


@pytest.fixture
def raw_token(softhsm: SoftHSM) -> RawToken:
    token = softhsm.token("bench")
    keyrings = Keyrings()
    with keyrings.closing:
        made = keyrings([token.config]).generate("bench-key", Algorithm.EC_P256, None)
    return RawToken(token.module, softhsm.conf, token.label, token.pin_file, made.cka_id.hex())


def test_the_raw_loop_signs_with_a_key_of_the_service(
    raw_program: Path, raw_token: RawToken
) -> None:
    for threads in (1, 2):
        rate = raw(raw_program, raw_token, threads=threads, seconds=0.1)
        assert rate.per_second > 0
        assert rate.cpu_microseconds > 0


@pytest.mark.parametrize(
    ("change", "word"),
    [
        pytest.param({"key_id": "00ff"}, "no EC key", id="no-such-key"),
        pytest.param({"label": "another"}, "no slot", id="no-such-token"),
        pytest.param({"pin_file": Path(os.devnull)}, "PIN file", id="empty-pin-file"),
    ],
)
def test_the_raw_loop_says_what_it_misses(
    raw_program: Path, raw_token: RawToken, change: dict[str, object], word: str
) -> None:
    with pytest.raises(BenchmarkError, match=word):
        raw(raw_program, replace(raw_token, **change), threads=1, seconds=0.1)  # type: ignore[arg-type]  # of the table


def test_software_verification_has_a_rate() -> None:
    assert software_verification(threads=2, seconds=0.05).per_second > 0


def test_the_bare_loop_leaves_images_and_uploads_at_the_registry(registry: DockerRegistry) -> None:
    used = Registry(registry.host, "bench/parts", concurrency=4)
    digests = used.push_images(5)
    assert len(set(digests)) == 5
    for digest in digests:
        assert registry.get_manifest("bench/parts", digest) is not None
    assert used.upload_bare(6) > 0
    answer = registry.request("GET", "/v2/bench/parts/tags/list").json()
    assert len(answer["tags"]) == 6


def test_what_a_process_started_is_found_with_its_memory() -> None:
    script = "import sys, subprocess; subprocess.run([sys.executable, '-c', 'input()'])"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE) as child:
        assert child.stdin is not None
        while not (found := [p for p in descendants(child.pid) if "input()" in p.command]):
            assert child.poll() is None
        assert found[0].pid in {p.pid for p in descendants(os.getpid())}
        assert resident_bytes(found[0].pid) > 0
        child.stdin.write(b"\n")
        child.stdin.close()
        child.wait()
    assert child.pid not in {p.pid for p in descendants(os.getpid())}

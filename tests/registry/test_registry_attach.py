"""Attaching at a real registry: several processes, foreign writers, and what is kept."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from service.domain.clock import SystemClock
from service.domain.digests import Digest
from service.domain.references import Repository
from service.registry import SharedTag, SigTagAttacher
from tests.support.attach_process import SIGNATURE, foreign, layer
from tests.support.attaching import run
from tests.support.oci import client_for, entry
from tests.support.registry import OCI_MANIFEST, DockerRegistry


def attacher(directory: Path, registry: DockerRegistry) -> SigTagAttacher:
    client, clock = client_for(directory, entry(registry.host)), SystemClock()
    return SigTagAttacher(client, clock, SharedTag(client, clock))


def names(registry: DockerRegistry, repository: Repository, subject: Digest) -> list[str]:
    found = []
    for listed in registry.signature_layers(repository.path, subject):
        annotations = listed["annotations"]
        assert isinstance(annotations, dict)
        found.append(annotations[SIGNATURE])
        payload = registry.get_blob(repository.path, str(listed["digest"]))
        assert payload == layer(annotations[SIGNATURE]).content
    return found


def test_a_signature_is_attached_once(registry: DockerRegistry, tmp_path: Path) -> None:
    repository = Repository(registry.host, "attach/once")
    subject = registry.push_image(repository.path, "1.0")
    ours = attacher(tmp_path, registry)
    first = ours.attach(repository, subject, [layer("a"), layer("b")], seconds=20)
    stored = registry.get_manifest(repository.path, f"sha256-{subject.hex}.sig")
    assert stored is not None
    assert first.added
    assert (set(first.manifests), first.media_type) == ({stored.digest}, stored.media_type)
    assert stored.media_type == OCI_MANIFEST
    again = ours.attach(repository, subject, [layer("b"), layer("a"), layer("a")], seconds=20)
    assert set(again.manifests) == set(first.manifests)
    assert again.seen == first.seen
    assert not again.added
    assert names(registry, repository, subject) == ["a", "b"]
    config = json.loads(stored.content)["config"]["digest"]
    assert registry.get_blob(repository.path, config) is not None


def test_the_image_need_not_be_there(registry: DockerRegistry, tmp_path: Path) -> None:
    repository, subject = Repository(registry.host, "attach/before"), Digest("1" * 64)
    attacher(tmp_path, registry).attach(repository, subject, [layer("a")], seconds=20)
    assert names(registry, repository, subject) == ["a"]


def test_layers_of_others_are_kept(registry: DockerRegistry, tmp_path: Path) -> None:
    repository = Repository(registry.host, "attach/kept")
    subject = registry.push_image(repository.path)
    foreign(repository, subject, ["theirs"])
    [theirs] = registry.signature_layers(repository.path, subject)
    attacher(tmp_path, registry).attach(repository, subject, [layer("ours")], seconds=20)
    assert registry.signature_layers(repository.path, subject)[0] == theirs
    assert names(registry, repository, subject) == ["theirs", "ours"]


def test_what_a_foreign_writer_overwrote_is_put_back_by_the_next_call(
    registry: DockerRegistry, tmp_path: Path
) -> None:
    repository = Repository(registry.host, "attach/back")
    subject = registry.push_image(repository.path)
    ours = attacher(tmp_path, registry)
    foreign(repository, subject, ["theirs"])
    old = registry.get_manifest(repository.path, f"sha256-{subject.hex}.sig")
    assert old is not None
    ours.attach(repository, subject, [layer("ours")], seconds=20)
    registry.push_manifest(repository.path, f"sha256-{subject.hex}.sig", old.content)
    assert names(registry, repository, subject) == ["theirs"]
    assert ours.attach(repository, subject, [layer("ours")], seconds=20).added
    assert names(registry, repository, subject) == ["theirs", "ours"]


def test_a_payload_that_the_registry_has_lost_does_not_keep_new_signatures_out(
    registry: DockerRegistry, tmp_path: Path
) -> None:
    repository = Repository(registry.host, "attach/lost")
    subject = registry.push_image(repository.path)
    ours = attacher(tmp_path, registry)
    foreign(repository, subject, ["theirs"])
    ours.attach(repository, subject, [layer("old"), layer("gone")], seconds=20)
    for lost in ("theirs", "gone"):
        digest = layer(lost).digest
        deleted = registry.request("DELETE", f"/v2/{repository.path}/blobs/{digest}")
        assert deleted.status == 202
    ours.attach(repository, subject, [layer("gone"), layer("new")], seconds=20)
    assert names(registry, repository, subject) == ["old", "gone", "new"]


def test_twenty_attaches_of_several_processes_all_survive(
    registry: DockerRegistry, tmp_path: Path
) -> None:
    repository = Repository(registry.host, "attach/processes")
    subject = registry.push_image(repository.path)
    lists = [[f"{process}-{number}" for number in range(5)] for process in range(4)]
    run(tmp_path, repository, subject, {"ours": lists})
    wanted = [name for own in lists for name in own]
    assert sorted(names(registry, repository, subject)) == sorted(wanted)


def test_all_of_ours_are_there_at_the_end_whatever_foreign_writers_do(
    registry: DockerRegistry, tmp_path: Path
) -> None:
    repository = Repository(registry.host, "attach/mixed")
    subject = registry.push_image(repository.path)
    lists = [[f"ours-{process}-{number}" for number in range(5)] for process in range(4)]
    others = [[f"theirs-{process}-{number}" for number in range(5)] for process in range(2)]
    run(tmp_path, repository, subject, {"ours": lists, "foreign": others})
    wanted = [layer(name) for own in lists for name in own]
    before = names(registry, repository, subject)
    # The outbox looks again once the list is quiet: one call, for all of a subject's.
    attacher(tmp_path, registry).attach(repository, subject, wanted, seconds=20)
    after = names(registry, repository, subject)
    assert {name for own in lists for name in own} <= set(after)
    assert len(after) == len(set(after))
    assert {name for name in before if name.startswith("theirs")} <= set(after)


def test_threads_may_upload_one_blob_at_once(registry: DockerRegistry, tmp_path: Path) -> None:
    repository = Repository(registry.host, "attach/shared")
    ours = attacher(tmp_path, registry)
    subjects = [Digest.of(bytes([number])) for number in range(16)]
    # One payload under many tags: its blob and its config are the same for all of them.
    with ThreadPoolExecutor(8) as threads:
        done = list(
            threads.map(
                lambda subject: ours.attach(repository, subject, [layer("same")], seconds=60),
                subjects,
            )
        )
    assert len({attached.manifests for attached in done}) == 1
    for subject in subjects:
        assert names(registry, repository, subject) == ["same"]


def test_nothing_to_attach_is_a_mistake(registry: DockerRegistry, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one"):
        attacher(tmp_path, registry).attach(
            Repository(registry.host, "attach/none"), Digest("1" * 64), [], seconds=20
        )

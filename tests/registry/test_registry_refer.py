"""Referrers at a real registry without their API: the fallback index, shared with others."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from service.domain.clock import SystemClock
from service.domain.digests import Digest
from service.domain.errors import AttachConflictError
from service.domain.references import Repository
from service.registry import ReferrerAttacher, ReferrerListing, SharedTag
from tests.support.attach_process import BUNDLE, NAME, foreign_referring, layer, referrer
from tests.support.attaching import run
from tests.support.oci import client_for, entry
from tests.support.registry import OCI_INDEX, DockerRegistry


def attacher(directory: Path, registry: DockerRegistry) -> ReferrerAttacher:
    client, clock = client_for(directory, entry(registry.host)), SystemClock()
    return ReferrerAttacher(client, clock, SharedTag(client, clock))


def names(registry: DockerRegistry, repository: Repository, subject: Digest) -> list[str]:
    """Return the names of what is listed, each from its manifest, which has to be there."""
    found = []
    for listed in registry.referrer_entries(repository.path, subject):
        stored = registry.get_manifest(repository.path, str(listed["digest"]))
        assert stored is not None, "a manifest is listed and not there"
        manifest = json.loads(stored.content)
        assert manifest["subject"]["digest"] == str(subject)
        (layer,) = manifest["layers"]
        assert registry.get_blob(repository.path, layer["digest"]) is not None
        found.append(manifest["annotations"][NAME])
    return found


def fresh(registry: DockerRegistry, name: str) -> tuple[Repository, Digest]:
    repository = Repository(registry.host, f"refer/{name}")
    return repository, registry.push_image(repository.path, "1.0")


def delete(registry: DockerRegistry, repository: Repository, digest: Digest) -> None:
    path = f"/v2/{repository.path}/manifests/{digest}"
    assert registry.request("DELETE", path).status == 202


def test_a_referrer_is_attached_once_with_all_that_the_specification_asks(
    registry: DockerRegistry, tmp_path: Path
) -> None:
    repository, subject = fresh(registry, "once")
    ours = attacher(tmp_path, registry)
    wanted = [referrer("a", subject), referrer("b", subject)]
    first = ours.attach(repository, subject, wanted, seconds=20)
    assert first.added
    assert first.manifests == tuple(one.digest for one in wanted)
    listed = registry.referrer_entries(repository.path, subject)
    assert [one["artifactType"] for one in listed] == [BUNDLE, BUNDLE]
    assert [one["annotations"] for one in listed] == [{NAME: "a"}, {NAME: "b"}]
    again = ours.attach(repository, subject, wanted[::-1], seconds=20)
    assert not again.added
    assert again.seen == first.seen
    assert names(registry, repository, subject) == ["a", "b"]


def test_the_image_need_not_be_there(registry: DockerRegistry, tmp_path: Path) -> None:
    repository, subject = Repository(registry.host, "refer/before"), Digest("1" * 64)
    attacher(tmp_path, registry).attach(repository, subject, [referrer("a", subject)], seconds=20)
    assert names(registry, repository, subject) == ["a"]


def test_descriptors_of_others_are_kept_with_their_annotations(
    registry: DockerRegistry, tmp_path: Path
) -> None:
    repository, subject = fresh(registry, "kept")
    foreign_referring(repository, subject, ["theirs"])
    [theirs] = registry.referrer_entries(repository.path, subject)
    annotated = {**theirs, "annotations": {"org.example": "<kept>"}}
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [annotated]}
    registry.push_manifest(
        repository.path, f"sha256-{subject.hex}", json.dumps(index).encode(), OCI_INDEX
    )
    attacher(tmp_path, registry).attach(
        repository, subject, [referrer("ours", subject)], seconds=20
    )
    assert registry.referrer_entries(repository.path, subject)[1:] == [annotated]
    assert names(registry, repository, subject) == ["ours", "theirs"]


def test_a_descriptor_of_a_deleted_manifest_is_left_out_and_ours_gets_in(
    registry: DockerRegistry, tmp_path: Path
) -> None:
    repository, subject = fresh(registry, "dead")
    foreign_referring(repository, subject, ["gone", "theirs"])
    delete(registry, repository, referrer("gone", subject).digest)
    # docker-registry refuses the index as it stands, whoever writes it.
    held = registry.get_manifest(repository.path, f"sha256-{subject.hex}")
    assert held is not None
    path = f"/v2/{repository.path}/manifests/sha256-{subject.hex}"
    refused = registry.request("PUT", path, body=held.content, headers={"Content-Type": OCI_INDEX})
    assert refused.status == 400
    attacher(tmp_path, registry).attach(
        repository, subject, [referrer("ours", subject)], seconds=20
    )
    assert names(registry, repository, subject) == ["ours", "theirs"]


def test_ours_that_was_deleted_is_put_back_though_the_index_names_it_still(
    registry: DockerRegistry, tmp_path: Path
) -> None:
    repository, subject = fresh(registry, "deleted")
    ours = attacher(tmp_path, registry)
    wanted = [referrer("a", subject), referrer("b", subject)]
    ours.attach(repository, subject, wanted, seconds=20)
    delete(registry, repository, wanted[0].digest)
    assert ours.attach(repository, subject, wanted, seconds=20).added
    assert names(registry, repository, subject) == ["a", "b"]
    delete(registry, repository, wanted[1].digest)
    more = [*wanted, referrer("c", subject)]
    assert ours.attach(repository, subject, more, seconds=20).added
    assert sorted(names(registry, repository, subject)) == ["a", "b", "c"]


def test_what_a_foreign_writer_overwrote_is_put_back_by_the_next_call(
    registry: DockerRegistry, tmp_path: Path
) -> None:
    repository, subject = fresh(registry, "back")
    ours = attacher(tmp_path, registry)
    foreign_referring(repository, subject, ["theirs"])
    old = registry.get_manifest(repository.path, f"sha256-{subject.hex}")
    assert old is not None
    first = ours.attach(repository, subject, [referrer("ours", subject)], seconds=20)
    registry.push_manifest(repository.path, f"sha256-{subject.hex}", old.content, OCI_INDEX)
    assert names(registry, repository, subject) == ["theirs"]
    again = ours.attach(repository, subject, [referrer("ours", subject)], seconds=20)
    assert again.added
    assert again.seen == first.seen
    assert names(registry, repository, subject) == ["ours", "theirs"]


def test_an_image_under_the_fallback_tag_is_left_alone(
    registry: DockerRegistry, tmp_path: Path
) -> None:
    repository, subject = fresh(registry, "taken")
    other = registry.push_image(repository.path, f"sha256-{subject.hex}", {"x": b"other"})
    with pytest.raises(AttachConflictError, match="something else"):
        attacher(tmp_path, registry).attach(
            repository, subject, [referrer("ours", subject)], seconds=20
        )
    held = registry.get_manifest(repository.path, f"sha256-{subject.hex}")
    assert held is not None
    assert held.digest == other


def test_twenty_attaches_of_several_processes_survive_whatever_foreign_writers_do(
    registry: DockerRegistry, tmp_path: Path
) -> None:
    repository, subject = fresh(registry, "mixed")
    lists = [[f"ours-{process}-{number}" for number in range(5)] for process in range(4)]
    others = [[f"theirs-{process}-{number}" for number in range(5)] for process in range(2)]
    work = {"ours-referring": lists, "foreign-referring": others}
    run(tmp_path, repository, subject, work)
    wanted = [name for own in lists for name in own]
    before = names(registry, repository, subject)
    # The outbox looks again once the list is quiet: one call, for all of a subject's.
    attacher(tmp_path, registry).attach(
        repository, subject, [referrer(name, subject) for name in wanted], seconds=20
    )
    after = names(registry, repository, subject)
    assert set(wanted) <= set(after)
    assert len(after) == len(set(after))
    assert {name for name in before if name.startswith("theirs")} <= set(after)


def test_threads_may_attach_to_many_images_at_once(
    registry: DockerRegistry, tmp_path: Path
) -> None:
    repository = Repository(registry.host, "refer/threads")
    ours = attacher(tmp_path, registry)
    subjects = [Digest.of(bytes([number])) for number in range(16)]
    with ThreadPoolExecutor(8) as threads:
        list(
            threads.map(
                lambda subject: ours.attach(
                    repository, subject, [referrer("same", subject)], seconds=60
                ),
                subjects,
            )
        )
    for subject in subjects:
        assert names(registry, repository, subject) == ["same"]


def test_what_is_attached_is_listed(registry: DockerRegistry, tmp_path: Path) -> None:
    repository, subject = fresh(registry, "listed")
    listing = ReferrerListing(client_for(tmp_path, entry(registry.host)))
    nothing = listing.referrers(repository, subject)
    assert (nothing.entries, nothing.by_tag, nothing.fault) == ((), True, None)
    ours = referrer("a", subject)
    attacher(tmp_path, registry).attach(repository, subject, [ours], seconds=20)
    (found,) = listing.referrers(repository, subject).entries
    assert found.descriptor.digest == ours.digest
    assert found.unverified_artifact_type == BUNDLE
    assert found.unverified_annotations == {NAME: "a"}


def test_an_image_under_the_fallback_tag_lists_nothing_and_is_told(
    registry: DockerRegistry, tmp_path: Path
) -> None:
    repository, subject = fresh(registry, "told")
    registry.push_image(repository.path, f"sha256-{subject.hex}", {"x": b"other"})
    listed = ReferrerListing(client_for(tmp_path, entry(registry.host))).referrers(
        repository, subject
    )
    assert listed.entries == ()
    assert listed.fault is not None


@pytest.mark.parametrize("contents", [[], "layers"])
def test_nothing_or_something_else_to_attach_is_a_mistake(
    registry: DockerRegistry, tmp_path: Path, contents: object
) -> None:
    with pytest.raises(ValueError, match="at least one"):
        attacher(tmp_path, registry).attach(
            Repository(registry.host, "refer/none"),
            Digest("1" * 64),
            [layer("a")] if contents else [],
            seconds=20,
        )

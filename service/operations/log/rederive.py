"""Derives everything that a store says of its logs anew from the entries that it holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from service.domain.log import LogName, SignedHead, Tree
from service.domain.public_keys import SignatureInvalidError
from service.ports.log import LogAuditor, LogReader
from service.translog.checkpoints import open_checkpoint, rekor_origin
from service.translog.errors import TranslogError
from service.translog.frontier import EMPTY, Frontier, grow
from service.translog.merkle import leaf_hash
from service.translog.tiles import TILE_WIDTH, TileHash

AT_ONCE: Final = 16 * TILE_WIDTH  # entries in memory at a time


@dataclass(frozen=True, slots=True)
class RederiveLogs:
    reader: LogReader
    auditor: LogAuditor

    def __call__(self) -> Iterator[str]:
        """Yield what is wrong, in words; nothing means that all is sound."""
        for log in LogName:
            missing = self.auditor.unaccounted(log)
            if missing:
                yield f"{missing} recorded entries of the log {log} are in no tree and no queue"
            for tree in self.reader.trees(log):
                for fault in self._tree(tree):
                    yield f"{tree.name}: {fault}"

    def _tree(self, tree: Tree) -> Iterator[str]:
        """Walk the tree once, and look at each checkpoint when its size is reached."""
        frontier = EMPTY
        heads = self._heads(tree)
        head = next(heads, None)
        for start in range(0, tree.size, AT_ONCE):
            count = min(AT_ONCE, tree.size - start)
            entries = self.reader.entries(tree.id, start=start, count=count)
            hashes = [leaf_hash(entry) for entry in entries]
            if len(hashes) != count:
                yield f"entries between {start} and {start + count} are missing"
                return
            if hashes != list(self.reader.hashes(tree.id, level=0, start=start, count=count)):
                yield f"leaves between {start} and {start + count} are not those of their entries"
            done = 0
            while head is not None and head.size <= start + count:
                reached = grow(frontier, hashes[done : head.size - start])
                yield from self._full_tiles(tree, reached.full_tiles)
                frontier, done = reached.frontier, head.size - start
                yield from _checkpoint(tree, head, frontier)
                head = next(heads, None)
            rest = grow(frontier, hashes[done:])
            yield from self._full_tiles(tree, rest.full_tiles)
            frontier = rest.frontier
        if frontier.root() != tree.root:
            yield "the entries do not lead to the root of the tree"
        if head is not None:
            yield f"there is a checkpoint over {head.size} entries, and the tree has {tree.size}"

    def _full_tiles(self, tree: Tree, made: tuple[TileHash, ...]) -> Iterator[str]:
        for node in made:
            stored = self.reader.hashes(tree.id, level=node.level, start=node.index, count=1)
            if list(stored) != [node.hash]:
                yield f"the hash {node.index} of level {node.level} is not that of its leaves"

    def _heads(self, tree: Tree) -> Iterator[SignedHead]:
        after = 0
        while heads := self.auditor.checkpoints(tree.id, after=after, limit=AT_ONCE):
            yield from heads
            after = heads[-1].size


def _checkpoint(tree: Tree, head: SignedHead, frontier: Frontier) -> Iterator[str]:
    if head.root != frontier.root():
        yield f"the checkpoint over {head.size} entries has another root"
    texts = [(head.note, tree.name)]
    if head.rekor_note is not None:
        texts.append((head.rekor_note, rekor_origin(tree.name, tree.id)))
    for note, origin in texts:
        try:
            said = open_checkpoint(note, origin=origin, name=tree.name, spki=head.public_key)
        except (TranslogError, SignatureInvalidError) as error:
            yield f"the checkpoint over {head.size} entries: {error}"
            continue
        if (said.size, said.root) != (head.size, head.root):
            yield f"the checkpoint over {head.size} entries says something else"

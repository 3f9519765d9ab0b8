"""How a destination comes to have a plan: what is missing is sent, in the order that leaves nothing half-published.

Blobs first, then manifests by their digests, each after what it names, then what is attached, then tags: those of the
release, then the moving ones. So a tag never stands for something that is not all there, whatever fails in between, and
a second run finds what the first has sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from builder.publish.content import Blob, Content, Descriptor, Store, reachable
from builder.publish.http import Failure, Progress
from builder.publish.plan import Plan, Tag
from builder.publish.registry import Manifest


class Destination(Protocol):
    """Where images and artifacts go; see `registry.RegistryClient` for what the methods do. They raise `Failure`."""

    name: str

    def open(self) -> None: ...

    def reference(self, repository: str, tag: str) -> str: ...

    def tagged(self, repository: str, reference: str) -> Manifest | None: ...

    def has_manifest(self, repository: str, descriptor: Descriptor) -> bool: ...

    def has_blob(self, repository: str, descriptor: Descriptor) -> bool: ...

    def put_blob(self, repository: str, blob: Blob, progress: Progress) -> bool: ...

    def put_manifest(self, repository: str, reference: str, media_type: str, data: bytes) -> None: ...

    def add_referrer(self, repository: str, subject: str, descriptor: Descriptor) -> None: ...


class State(StrEnum):
    """What came of one reference. The last three are not what was asked for."""

    SENT = "sent"
    THERE = "was there"
    WOULD = "would be sent"
    REFUSED = "refused"
    FAILED = "failed"
    LEFT = "not sent"


GOOD = (State.SENT, State.THERE, State.WOULD)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What is where in the end.

    Attributes:
        target: The destination's name.
        reference: The tag, or the file, as a user would get it.
        digest: What is there, or would be.
        why: Why it is not there; of what is there, what else is to be known.
    """

    target: str
    reference: str
    digest: str
    state: State
    why: str = ""

    @property
    def good(self) -> bool:
        return self.state in GOOD


class Watch(Protocol):
    """Told what a transfer does; see `render`."""

    def begin(self, target: str, total: int, what: str) -> None: ...

    def advance(self, target: str, size: int) -> None: ...

    def note(self, target: str, line: str) -> None: ...


def transfer(
    destination: Destination, plan: Plan, store: Store, *, overwrite: bool, dry_run: bool, watch: Watch
) -> list[Outcome]:
    """Bring a plan to a destination.

    Args:
        store: Has the content.
        overwrite: Tags of the release that stand for something else are changed.
        dry_run: Ask, and send nothing.

    Returns:
        An outcome for each tag of the plan, in its order.

    Raises:
        Stopped: The user stopped it.
    """
    return _Transfer(destination, plan, store, overwrite, watch).run(dry_run)


class _Transfer:
    def __init__(self, destination: Destination, plan: Plan, store: Store, overwrite: bool, watch: Watch) -> None:
        self.to = destination
        self.plan = plan
        self.store = store
        self.overwrite = overwrite
        self.watch = watch
        self.done: dict[Tag, Outcome] = {}

    def run(self, dry_run: bool) -> list[Outcome]:
        try:
            self.to.open()
            self._look()
            if not any(outcome.state is State.REFUSED for outcome in self.done.values()):
                blobs, manifests = self._missing()
                if dry_run:
                    self._tell(blobs, manifests)
                else:
                    self._send(blobs, manifests)
                    self._attach()
                    self._tag()
        except Failure as failure:
            self._rest(State.FAILED, str(failure))
        refused = [outcome for outcome in self.done.values() if outcome.state is State.REFUSED]
        if refused:
            self._rest(State.LEFT, f"nothing is sent there while {refused[0].reference} is refused")
        elif dry_run:
            self._rest(State.WOULD, "")
        return [self.done[tag] for tag in self.plan.tags]

    def _outcome(self, tag: Tag, state: State, why: str = "", digest: str = "") -> None:
        reference = self.to.reference(tag.repository, tag.tag)
        self.done[tag] = Outcome(
            target=self.to.name, reference=reference, digest=digest or tag.target.digest, state=state, why=why
        )

    def _rest(self, state: State, why: str) -> None:
        for tag in self.plan.tags:
            if tag not in self.done:
                self._outcome(tag, state, why)

    def _look(self) -> None:
        """See what the tags stand for, before anything is sent."""
        for tag in self.plan.tags:
            if refusal := self._refusal(tag, self.to.tagged(tag.repository, tag.tag)):
                self._outcome(tag, State.REFUSED, refusal)

    def _refusal(self, tag: Tag, there: Manifest | None) -> str:
        """Why a tag is not to be changed; empty when it may be, or need not."""
        if there is None or tag.moving or self.overwrite or _covers(there, tag) or self._extends(tag, there):
            return ""
        return f"it is there with other content, {there.digest} (--overwrite replaces it)"

    def _extends(self, tag: Tag, there: Manifest) -> bool:
        """The new index has all that the tag stands for now, and more."""
        document = self.store.document(tag.target.digest)
        entries = {str(each["digest"]) for each in document.get("manifests") or ()}
        return bool(entries) and there.entries() <= entries

    def _contents(self) -> list[tuple[str, Descriptor, Content]]:
        """Repository and content of each thing of the plan, once."""
        wanted = [(tag.repository, tag.target) for tag in self.plan.tags]
        wanted += [(each.repository, each.manifest) for each in self.plan.referrers]
        found = {(repository, target.digest): (repository, target) for repository, target in wanted}
        return [(repository, target, reachable(self.store, target)) for repository, target in found.values()]

    def _missing(self) -> tuple[list[tuple[str, Descriptor]], list[tuple[str, Descriptor]]]:
        """The blobs and the manifests that the destination lacks, each with its repository, in the order to send."""
        blobs: dict[tuple[str, str], Descriptor] = {}
        manifests: dict[tuple[str, str], Descriptor] = {}
        for repository, _, content in self._contents():
            blobs |= {(repository, each.digest): each for each in content.blobs}
            manifests |= {(repository, each.digest): each for each in content.manifests}
        return (
            [(repository, each) for (repository, _), each in blobs.items() if not self.to.has_blob(repository, each)],
            [(where, each) for (where, _), each in manifests.items() if not self.to.has_manifest(where, each)],
        )

    def _send(self, blobs: Sequence[tuple[str, Descriptor]], manifests: Sequence[tuple[str, Descriptor]]) -> None:
        once = {descriptor.digest: descriptor.size for _, descriptor in blobs}
        self.watch.begin(self.to.name, sum(once.values()), f"{len(once)} blobs")
        for repository, descriptor in blobs:
            self.to.put_blob(repository, self.store.blob(descriptor.digest), self._advance)
        for repository, descriptor in manifests:
            data = self.store.blob(descriptor.digest).read()
            self.to.put_manifest(repository, descriptor.digest, descriptor.media_type, data)

    def _advance(self, size: int) -> None:
        self.watch.advance(self.to.name, size)

    def _attach(self) -> None:
        for each in self.plan.referrers:
            self.to.add_referrer(each.repository, each.subject, each.manifest)

    def _tag(self) -> None:
        for tag in self.plan.tags:
            there = self.to.tagged(tag.repository, tag.tag)  # somebody else may have set it since
            if refusal := self._refusal(tag, there):
                self._outcome(tag, State.REFUSED, refusal)
                self._rest(State.LEFT, "a tag before was refused")
                return
            if there is not None and _covers(there, tag):
                kept = there.digest != tag.target.digest
                self._outcome(tag, State.THERE, "in an index that has it" if kept else "", there.digest)
                continue
            data = self.store.blob(tag.target.digest).read()
            self.to.put_manifest(tag.repository, tag.tag, tag.target.media_type, data)
            self._outcome(tag, State.SENT)
            self.watch.note(self.to.name, f"pushed {self.to.reference(tag.repository, tag.tag)}")

    def _tell(self, blobs: Sequence[tuple[str, Descriptor]], manifests: Sequence[tuple[str, Descriptor]]) -> None:
        """What a dry run found: tags that are right, and what would go for the others."""
        once = {descriptor.digest: descriptor.size for _, descriptor in blobs}
        self.watch.begin(self.to.name, sum(once.values()), f"{len(once)} blobs, {len(manifests)} manifests")
        for tag in self.plan.tags:
            there = self.to.tagged(tag.repository, tag.tag)
            if there is not None and _covers(there, tag):
                self._outcome(tag, State.THERE, "", there.digest)
            elif there is not None:
                self._outcome(tag, State.WOULD, f"in place of {there.digest}")


def _covers(there: Manifest, tag: Tag) -> bool:
    """A tag stands for what it is to stand for: for that itself, or for an index that has it."""
    return tag.target.digest == there.digest or tag.target.digest in there.entries()

"""Stage one as one function: images to features.h5, doing only what changed."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from fc7.extract.cache.format.identity import CacheIdentity
from fc7.extract.cache.format.storable import storable
from fc7.extract.cache.writer import CacheWriter
from fc7.extract.cache_network import check_before_fetching, with_the_default_explained
from fc7.extract.call_inputs import guard_for
from fc7.extract.clock import Clock
from fc7.extract.engine.trial import try_network
from fc7.extract.hints import hint, intel_cpu
from fc7.extract.images import budget
from fc7.extract.inputs.listing import list_inputs
from fc7.extract.kinds import FEATURE_CACHE
from fc7.extract.lost_labels import check_labels, fit_with_corrections, labels_of
from fc7.extract.options import ExtractOptions
from fc7.extract.plan import (
    check_missing,
    find_copied,
    find_edited,
    find_moved,
    layers_to_run,
    make_plan,
    may_be_others,
)
from fc7.extract.records import Failure, ImageRef, Listing, Rows, readers_of
from fc7.extract.summary import ExtractSummary, count_classes
from fc7.extract.unreadable import Unreadable
from fc7.extract.worker.gathering import Gathered
from fc7.extract.worker.recovery import Recovery, forget
from fc7.extract.worker.worker import Keeping, NetworkRun, on_this_machine
from fc7.models.common.cores import default_jobs
from fc7.models.common.errors import (
    CredentialsError,
    DeviceMemoryError,
    EngineError,
    Fc7Error,
    HungError,
    ImageError,
    MismatchError,
    StoppedError,
    UsageError,
    WeightsError,
)
from fc7.models.common.files import Inputs
from fc7.models.common.progress import Notify, Progress, Silent
from fc7.models.common.stopping import is_pressed_again
from fc7.models.network.spec import NetworkSpec
from fc7.models.outputs.outputs import Destination, Output
from fc7.models.store.default import default_network
from fc7.models.store.ensure import ensure_network
from fc7.models.store.store import StoredNetwork

if TYPE_CHECKING:
    from fc7.extract.cache.commit.row_locations import Record
    from fc7.extract.cluster.driver import NodeWork


def _ignore(_: str) -> None:
    pass


def extract_features(
    images: Inputs | Listing,
    out: Destination = "features.h5",
    options: ExtractOptions | None = None,
    *,
    progress: Progress | None = None,
    notify: Notify = _ignore,
) -> ExtractSummary:
    """Run a frozen network over images and keep the features.

    Parameters
    ----------
    images : str, Path, sequence of these, or Listing
        Files and folders (recursive; the label of an image is its folder's name), lists, arrays
        and archives (`extract.inputs.listing`), or a listing from elsewhere.
    out : str, Path or Output
        The cache. What it holds of unchanged images is kept and not computed again.
    notify : callable
        Is given one-line notes: a network that is fetched, the engine that was chosen.

    Raises
    ------
    UsageError
        If there are no images, `out` was made by another network, layer or preprocessing, something else
        stands there (`models.outputs.outputs`), or most of its rows or labels would go.
    Fc7Error
        If the disk is too full for `out`, something hangs, a store refuses its credentials, or an image
        fails and `options.on_error` is "fail"; what was done is kept.
    StoppedError
        After Ctrl-C; what was done is kept.

    Examples
    --------
    ``drawn`` holds four folders of eight images; ``tiles`` is a network in the store.

    >>> import fc7
    >>> options = fc7.ExtractOptions(network="tiles")
    >>> summary = fc7.extract_features(["drawn"], "new.h5", options)
    >>> summary.rows, summary.classes
    (32, {'circle': 8, 'rectangle': 8, 'star': 8, 'triangle': 8})
    >>> again = fc7.extract_features(["drawn"], "new.h5", options)
    >>> again.extracted, again.reused
    (0, 32)
    """
    options = options or ExtractOptions()
    started = time.perf_counter()
    if not isinstance(out, Output):
        out = guard_for(images, labels=options.labels, force=options.force).claim(out, FEATURE_CACHE)
    listing = images
    if not isinstance(listing, Listing):
        listing = list_inputs(
            listing,
            labels=options.labels,
            group_by=options.group_by,
            label_by=options.label_by,
            notify=notify,
        )
    listing = storable(listing)
    default = default_network() if options.network is None else None
    if default is not None and not options.force:
        check_before_fetching(out.path, default)
    stored = ensure_network(options.network, progress or Silent(), notify=notify, trial=try_network)
    spec = _adapted(stored.spec, options)
    stored = dataclasses.replace(stored, spec=spec)
    if not spec.trained:
        notify(f"{spec.name} has random weights: good enough to try the tool, not to classify your images")
    run = _Run(
        listing, stored=stored, output=out, options=options, progress=progress or Silent(), notify=notify
    )
    try:
        return run.carry_out(started)
    except MismatchError as exc:
        if default is None:
            raise
        raise with_the_default_explained(exc, out.path, default) from exc


def _adapted(spec: NetworkSpec, options: ExtractOptions) -> NetworkSpec:
    """The network with some of its preprocessing overridden; its fingerprints change with it."""
    changes: dict[str, Any] = dict(options.preprocess)
    preprocess = dataclasses.replace(spec.preprocess, **changes)
    return dataclasses.replace(spec, preprocess=preprocess, pool=options.pool or spec.pool)


class _Run:
    """One call of `extract_features`."""

    def __init__(
        self,
        listing: Listing,
        stored: StoredNetwork,
        output: Output,
        options: ExtractOptions,
        progress: Progress,
        notify: Notify,
    ) -> None:
        self.listing = listing
        self.stored = stored
        self.spec = stored.spec
        self.layers = tuple(dict.fromkeys(options.layers or (self.spec.default_layer,)))
        self.output = output
        self.out = output.path
        self.options = options
        self.progress = progress
        self.notify = notify
        self.jobs = options.jobs or default_jobs()
        self.clock = Clock()
        self.engines: set[str] = set()
        self.nodes: dict[str, NodeWork] = {}
        self.unreadable = Unreadable(listing, {}, ())
        self.failed: frozenset[str] = frozenset()
        self.done: set[str] = set()

    def carry_out(self, started: float) -> ExtractSummary:

        with CacheWriter(
            self.output,
            CacheIdentity.of(self.spec),
            layers=self.layers,
            dtype=self.options.storage,
            force=self.options.force,
            repair=self.options.repair,
        ) as writer:
            for note in writer.notes:
                self.notify(note)
            # A cache that holds other layers too keeps them: every row must have all of them.
            self.layers = writer.layers_needed
            known = writer.known
            plan = make_plan(
                self.listing.images,
                known,
                writer.known_failures,
                layers=self.layers,
                retry_failed=self.options.retry_failed,
            )
            doubtful = (
                plan.reuse
                if self.options.verify
                else may_be_others(plan.reuse, known.ambiguous(), writer.committed_ns)
            )
            self.failed = frozenset(path for path, old in writer.known_failures.items() if old.unseen)
            edited = find_edited(doubtful, known, self._hashes)
            if edited:
                plan = plan.with_edited(edited)
            self.unreadable = Unreadable(self.listing, known, plan.missing)
            self.unreadable.add(plan.failures)
            # What is far is read once: to know whether it moved costs what reading it anew does.
            near = [ref for ref in plan.work if not readers_of(ref.origin)]
            moved = find_moved(
                near, known, writer.rows_with_sha256, hash_of=self._hashes, layers=self.layers, edited=edited
            )
            missing = set(plan.missing).difference(self.unreadable.stale, moved.values())
            self._check_missing(missing, len(known), writer.roots)
            self._check_labels()
            work = [ref for ref in plan.work if ref.path not in moved]
            self.done.update(ref.path for ref in plan.reuse)
            self.done.update(moved)
            self.layers = layers_to_run(work, known, self.layers, edited=edited)
            self._check_room(len(plan.reuse) + len(moved), len(work), writer.layers_needed)
            stopped = self._extract(work, writer)
            if stopped is not None and self.options.force:
                # What is there is replaced when the new one is complete, and not before.
                raise type(stopped)(
                    f"{stopped}. Under --force {self.out} stays as it was until then; finished work is in "
                    f"{writer.work_folder}"
                )
            images: list[Record] = [ref for ref in self.listing.images if ref.path in self.done]
            if self.unreadable.stale:
                self.unreadable.give_up(writer.layers_needed, remove=self.options.remove_missing)
                kept = writer.kept_rows(sorted(self.unreadable.stale))
                images = sorted([*images, *kept], key=attrgetter("path"))
            began = time.perf_counter()
            try:
                result = writer.commit(
                    images,
                    self.unreadable.failures,
                    roots=self.listing.roots,
                    moved=moved,
                    stale=[self.unreadable.stale[path] for path in sorted(self.unreadable.stale)],
                    progress=self.progress,
                )
            except KeyboardInterrupt as exc:
                raise StoppedError(
                    f"stopped at once; {self.out} is as it was before, finished work is kept in "
                    f"{writer.work_folder}: run the same command again to go on"
                ) from exc
            self.clock.write += time.perf_counter() - began
        if stopped is not None:
            raise stopped
        kept_paths = {ref.path for ref in plan.reuse}.union(self.unreadable.stale)
        copied = find_copied(moved, kept_paths, (writer.roots, self.listing.roots))
        summary = self._summary(started, len(plan.reuse), moved, copied=len(copied), written=result.written)
        return dataclasses.replace(
            summary,
            removed=len(missing),
            classes=count_classes(record.label for record in images),
            unlabelled=next((record.path for record in images if not record.label), None),
        )

    def _check_missing(self, missing: Collection[str], n_rows: int, roots: Sequence[str]) -> None:
        """Stop before anything is done if rows would leave that were perhaps not meant to.

        Raises
        ------
        UsageError
        """
        why = check_missing(missing, n_rows, (roots, self.listing.roots), empty=self.listing.empty)
        if why is not None and not self.options.remove_missing:
            labels = self.options.labels
            also = "" if labels is None else f"; corrections: {fit_with_corrections(self.out, labels)}"
            raise UsageError(
                f"{self.out} holds {n_rows:,} rows, and {len(missing):,} of them are of images that are not "
                f"among those given ({min(missing)}, ...): {why}. Nothing was changed; --remove-missing "
                f"takes these rows out, another -o keeps them{also}"
            )

    def _check_labels(self) -> None:
        """Stop before anything is done if most labels would go by what the user gave.

        Raises
        ------
        UsageError
        """
        options = self.options
        named = options.labels is not None or options.label_by is not None
        if not named or options.remove_missing or options.force:
            return
        why = check_labels(self.listing.images, labels_of(self.out), self.out, options=options)
        if why is not None:
            raise UsageError(why)

    def _check_room(self, kept: int, new: int, layers: Sequence[str]) -> None:
        """Whether the disk holds the segments of new rows, and beside them the file of `layers` to come."""
        made, whole = (
            sum(self.spec.layer(layer).dim(self.spec.pool) for layer in some)
            for some in (self.layers, layers)
        )
        stored = 2 if self.options.storage == "float16" else 4
        note = self.output.needs(4 * new * made + stored * (kept + new) * whole) if new else None
        if note is not None:
            self.notify(note)

    def _extract(self, work: list[ImageRef], writer: CacheWriter) -> Fc7Error | None:
        """Run what is to be run; the error that ended it early, if any."""
        gathered = Gathered()
        self.progress.start(len(work), "extracting")
        try:
            with closing(self._finished(work, writer)) as done:
                for rows in done:
                    gathered = self._take(rows, gathered, writer)
                    failed = rows.failures
                    self.progress.advance(len(rows.refs) + len(failed))
                    stopped = self._too_many_failures(
                        failed, len(self.unreadable.failures) + len(gathered.failures)
                    )
                    if stopped is not None:
                        return stopped
        except (CredentialsError, DeviceMemoryError, EngineError, WeightsError) as exc:
            return type(exc)(f"{exc}; {self._kept(gathered)}")
        except HungError as exc:
            return HungError(f"{exc}; {self._kept(gathered)}: run the same command again to go on")
        except KeyboardInterrupt as exc:
            if is_pressed_again(exc):
                raise StoppedError(
                    f"stopped at once; finished work is kept in {writer.work_folder}: run the same command "
                    "again to go on"
                ) from exc
            return StoppedError(f"stopped; {self._kept(gathered)}: run the same command again to go on")
        finally:
            self._keep(gathered, writer)
            self.progress.finish()
        return None

    def _kept(self, gathered: Gathered) -> str:
        """What to say of finished work when a run ends early; without any there is no file to name."""
        if self.done or self.unreadable.failures or gathered.blocks or gathered.failures:
            return f"what was done is kept in {self.out}"
        return "no image was done yet"

    def _take(self, rows: Rows, gathered: Gathered, writer: CacheWriter) -> Gathered:
        """Keep what is finished, sooner or later; what is waiting to be kept then."""
        if rows.provenance is not None:
            self.engines.add("{provider} {precision}".format(**rows.provenance))
        if rows.kept:
            self.done.update(ref.path for ref in rows.refs)
            self.unreadable.add(rows.failures)
            return gathered
        if rows.provenance not in (None, writer.provenance):
            # A segment says of all its rows how they were made.
            self._keep(gathered, writer)
            gathered = Gathered()
            writer.provenance = rows.provenance
        gathered.add(rows)
        if gathered.due():
            self._keep(gathered, writer)
            gathered = Gathered()
        return gathered

    def _network_run(self) -> NetworkRun:
        return NetworkRun(self.stored.graph_path, self.spec, self.layers, how=self.options, thumbnails=True)

    def _finished(self, work: list[ImageRef], writer: CacheWriter) -> Generator[Rows]:
        """Run images here, or on the workers of a cluster, which keep what they finish where they can."""
        if not work:
            return
        run = self._network_run()
        if self.options.cluster is None:
            again = "--retry-failed tries it again"
            folder = writer.work_folder
            with Recovery(folder, work, self.failed, notify=self.notify, again=again) as recovery:
                if recovery.given_up:
                    yield Rows([], [], {}, failures=recovery.given_up)
                yield from on_this_machine(
                    recovery.work, run, clock=self.clock, notify=self.notify, care=recovery.care
                )
            return
        forget(writer.work_folder)
        # Most runs are not on a cluster, and an unchanged one is to cost little.
        from fc7.extract.cluster.driver import RunReport, on_cluster

        report = RunReport(self.clock, self.notify, self.nodes)
        keeping = Keeping(
            writer.work_folder, writer.segment_header, writer.storage, number=writer.claim_number()
        )
        yield from on_cluster(work, run, report, keeping=keeping)

    def _too_many_failures(self, failed: Sequence[Failure], total: int) -> Fc7Error | None:
        """The error that ends the run, if what just failed is more than the user allows."""
        if not failed:
            return None
        images = len(self.listing.images) + len(self.listing.failures)
        if self.options.on_error == "fail":
            why = "stopped at the first failure (--on-error fail)"
        elif self.options.max_failures is not None and not self.options.allows(total, images):
            why = f"{total} of {images} images failed, more than --max-failures allows"
        else:
            return None
        return Fc7Error(f"{failed[0].text}; {why}, what was done is kept in {self.out}")

    def _keep(self, gathered: Gathered, writer: CacheWriter) -> None:
        for block in gathered.blocks:
            self.done.update(ref.path for ref in block.refs)
        self.unreadable.add(gathered.failures)
        if gathered.blocks or gathered.failures:
            writer.write_segment(gathered.joined())

    def _hashes(self, refs: Iterable[ImageRef]) -> Iterable[str | None]:
        def digest(ref: ImageRef) -> str | None:
            try:
                with budget.shared.room(ref.size):
                    data = ref.origin.read(ref)
                    return hashlib.sha256(data if isinstance(data, bytes) else data.tobytes()).hexdigest()
            except (ImageError, MemoryError):
                return None

        with ThreadPoolExecutor(self.jobs) as pool:
            return list(pool.map(digest, refs))

    def _summary(
        self, started: float, untouched: int, found_again: Mapping[str, str], copied: int, written: bool
    ) -> ExtractSummary:
        rows = len(self.done) + len(self.unreadable.stale)
        renamed = sum(path != old for path, old in found_again.items())
        reused = untouched + len(found_again) - renamed
        return ExtractSummary(
            out=self.out,
            images=rows + len(self.unreadable.failures),
            rows=rows,
            failures=sorted(self.unreadable.failures, key=lambda failure: failure.path),
            stale=[self.unreadable.stale[path] for path in sorted(self.unreadable.stale)],
            extracted=len(self.done) - reused - renamed,
            reused=reused,
            copied=copied,
            moved=renamed - copied,
            removed=0,
            ignored=dict(self.listing.ignored),
            seconds=time.perf_counter() - started,
            clock=self.clock,
            network=self.spec.name,
            trained=self.spec.trained,
            engine=", ".join(sorted(self.engines)) or None,
            nodes={name: (work.images, work.seconds) for name, work in self.nodes.items()},
            written=written,
            hint=self._hint(),
        )

    def _hint(self) -> str | None:
        """Of a run in this process; on a cluster every node may need another."""
        if self.options.cluster is not None or len(self.engines) != 1:
            return None
        from fc7.extract.engine.engine import this_machine

        (engine,) = self.engines
        machine = this_machine(self.options.device)
        return hint(self.clock, engine, self.jobs, machine=machine, intel=intel_cpu())

"""Everything that measuring a dose needs, opened once a process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from motionsynth.calibration.curve import Ground
from motionsynth.calibration.doses import apply_dose
from motionsynth.calibration.draws import COPIES, Repeat, changes_nothing, draw_repeats, union
from motionsynth.calibration.plan import KINDS, ZERO, CalibrationConfig, Dose
from motionsynth.calibration.pool import Pool, open_pool
from motionsynth.calibration.record import DoseFigures
from motionsynth.corpus.corpus import Corpus
from motionsynth.corpus.split import SplitName
from motionsynth.extractors.extractor import Extractor
from motionsynth.metrics.cells import label_kls
from motionsynth.metrics.descriptors import Descriptors
from motionsynth.metrics.record import Sets
from motionsynth.metrics.registry import Chosen, figure_keys
from motionsynth.metrics.suite import score
from motionsynth.training.determinism import torch_threads

__all__ = ["Bench", "one_thread", "open_bench"]

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Bench:
    """A corpus, its judge, and what is drawn in every repeat.

    Args:
        config: what is done.
        corpus: the clips.
        extractor: turns windows into descriptors.
        chosen: the figures.
        pool: windows that doses are done to.
        reference_pool: windows that they are held against.
        repeats: what each repeat draws.
    """

    config: CalibrationConfig
    corpus: Corpus
    extractor: Extractor
    chosen: tuple[Chosen, ...]
    pool: Pool
    reference_pool: Pool
    repeats: tuple[Repeat, ...]

    @property
    def ground(self) -> Ground:
        """Properties of real motion on each axis."""
        return Ground(self.pool.motions.nyquist_hz, self.cells, len(self.pool), self.count / self.cells)

    @property
    def cells(self) -> int:
        """Cells of the windows that doses are done to."""
        return len(np.unique(self.pool.cell_N))

    @property
    def count(self) -> int:
        """Windows of each set."""
        return len(self.repeats[0].reference_N)

    def doses(self) -> tuple[list[Dose], list[str]]:
        """Real motion and every dose that can be done to this corpus, and a sentence for each that cannot."""
        wanted = [dose for kind in KINDS for dose in self.config.ladder(kind, self.cells)]
        refused = {dose: why for dose in wanted if (why := changes_nothing(dose, self.pool, self.count))}
        return [ZERO, *(dose for dose in wanted if dose not in refused)], [
            f"left out: {why}" for why in refused.values()
        ]

    def measure(self, dose: Dose) -> DoseFigures:
        """All figures of a dose in every repeat."""
        drawn = [repeat.of(dose, self.pool) for repeat in self.repeats]
        aside = [repeat.of(dose, self.pool, apart=True) for repeat in self.repeats]
        needs_half = dose == ZERO or bool(self._asks_for_train)
        wanted_N = union([d.index_N for d in drawn] + [d.index_N for d in aside if needs_half])
        windows = self._windows(dose, wanted_N)
        rows, apart, truth = [], [], []
        for number, repeat in enumerate(self.repeats):
            reference = self.references[number]
            generated = _rows(windows, wanted_N, drawn[number].index_N, dose)
            row = self._score(generated, reference, None, self._plain)
            if needs_half:
                train = self.trains[number]
                half = _rows(windows, wanted_N, aside[number].index_N, dose)
                found = self._score(half, reference, train, self.chosen if dose == ZERO else self._asks_for_train)
                row |= {key: found[key] for key in self._keys(self._asks_for_train)}
                apart.append(found)
            rows.append(row)
            truth.append(self._score_truth(generated, reference, drawn[number].index_N, repeat.reference_N))
        return DoseFigures(
            dose,
            _columns(rows),
            {key: value for row in reversed(rows) for key, value in row.items() if isinstance(value, str)},
            float(np.mean([d.repeated / len(d.index_N) for d in drawn])),
            _columns(apart) if dose == ZERO else {},
            _columns(truth),
        )

    @cached_property
    def references(self) -> list[Descriptors]:
        """The reference of each repeat; kept, so that what measures know of it is computed once."""
        everything = apply_dose(self.reference_pool, ZERO, self.corpus.normaliser, 0)
        whole = self.extractor.describe(everything, spaces=self._spaces)
        return [whole.subset(_tensor(repeat.reference_N)) for repeat in self.repeats]

    @cached_property
    def trains(self) -> list[Descriptors]:
        """Training set of each repeat; kept, as what is measured against it is kept with the others."""
        return [self.undosed.subset(_tensor(repeat.train_N)) for repeat in self.repeats]

    @cached_property
    def undosed(self) -> Descriptors:
        """Every window of the pool as it is."""
        everything = apply_dose(self.pool, ZERO, self.corpus.normaliser, 0)
        return self.extractor.describe(everything, spaces=self._spaces)

    @cached_property
    def _spaces(self) -> list[str]:
        asked = {space for _, space in self.chosen if space is not None}
        return [space for space in self.extractor.spaces if space in asked or space == "pca"]

    @property
    def _asks_for_train(self) -> list[Chosen]:
        return [(measure, space) for measure, space in self.chosen if "train" in measure.needs]

    @property
    def _plain(self) -> list[Chosen]:
        return [(measure, space) for measure, space in self.chosen if "train" not in measure.needs]

    def _keys(self, chosen: Sequence[Chosen]) -> tuple[str, ...]:
        return figure_keys(chosen)

    def _windows(self, dose: Dose, wanted_N: Indices) -> Descriptors:
        if dose == ZERO or KINDS[dose.kind].acts == "draw":
            return self.undosed.subset(_tensor(wanted_N))
        motions = apply_dose(self.pool, dose, self.corpus.normaliser, self.config.seed, wanted_N)
        return self.extractor.describe(motions, spaces=self._spaces)

    def _score(
        self, generated: Descriptors, reference: Descriptors, train: Descriptors | None, chosen: Sequence[Chosen]
    ) -> dict[str, float | str]:
        found = score(Sets(generated, reference, train), chosen)
        return {key: figure.outcome for key, figure in found.items()}

    def _score_truth(
        self, generated: Descriptors, reference: Descriptors, drawn_N: Indices, reference_N: Indices
    ) -> dict[str, float | str]:
        """The divergence of labels with the cells that are written in the corpus, in place of the judged ones."""
        chosen = [(measure, space) for measure, space in self._plain if measure.compute is label_kls]
        if not chosen or not self.pool.cell_names:
            return {}
        labelled = [
            replace(windows, cell_N=_tensor(pool.cell_N[index_N]), cell_names=pool.cell_names)
            for windows, pool, index_N in (
                (generated, self.pool, drawn_N),
                (reference, self.reference_pool, reference_N),
            )
        ]
        return self._score(labelled[0], labelled[1], None, chosen)


def open_bench(
    corpus: Corpus,
    extractor: Extractor,
    config: CalibrationConfig,
    chosen: Sequence[Chosen],
    *,
    pool: SplitName = "train",
    reference: SplitName = "test",
) -> Bench:
    """Prepare a calibration.

    Args:
        corpus: the clips.
        extractor: fitted on the corpus.
        config: what is done.
        chosen: the figures.
        pool: the split that doses are done to.
        reference: the split that they are held against.

    Raises:
        CorpusError: a split has no window.
    """
    pools = [open_pool(corpus, split) for split in (pool, reference)]
    if not pools[0].cell_names:
        # without labels the judge's cells stand in: they are what cells covered are counted in
        described = [extractor.describe(apply_dose(p, ZERO, corpus.normaliser, 0), spaces=["pca"]) for p in pools]
        pools = [
            replace(p, cell_N=p.cell_N if d.cell_N is None else d.cell_N.cpu().numpy())
            for p, d in zip(pools, described, strict=True)
        ]
    repeats = draw_repeats(pools[0], len(pools[1]), count=config.count, repeats=config.repeats, seed=config.seed)
    return Bench(config, corpus, extractor, tuple(chosen), pools[0], pools[1], tuple(repeats))


@contextmanager
def one_thread() -> Iterator[None]:
    """Sums in one order, so that results do not depend on how many processes share the work."""
    from threadpoolctl import threadpool_limits

    with torch_threads(1), threadpool_limits(1):
        yield


def _rows(windows: Descriptors, wanted_N: Indices, index_N: Indices, dose: Dose) -> Descriptors:
    drawn = windows.subset(_tensor(np.searchsorted(wanted_N, index_N)))
    if dose.kind not in COPIES:
        return drawn
    copy_N = np.r_[False, np.diff(index_N) == 0]
    take_N = np.where(copy_N, windows.take_N.max().item() + np.cumsum(copy_N), drawn.take_N.numpy())
    return replace(drawn, take_N=_tensor(take_N))


def _tensor(index_N: Indices) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(index_N))


def _columns(rows: Sequence[Mapping[str, float | str]]) -> dict[str, list[float | None]]:
    """Figure -> one number a repeat, None where there is a reason instead."""
    return {
        key: [value if isinstance(value := row[key], float) else None for row in rows]
        for key in (rows[0] if rows else {})
    }

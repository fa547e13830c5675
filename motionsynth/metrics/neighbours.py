"""Exact nearest neighbours without an N x M matrix: blocks of float32 products, decided in float64 where it is close.

``|x - y|^2 = |x|^2 + |y|^2 - 2 x.y`` is one matrix product, but loses small distances: its error is some 1e-6 of
``|x|^2 + |y|^2``, so a copy would not be at distance 0. So rows are centred, the product only *selects*, what it
selects is computed again from the differences in float64, and where the product cannot tell the k-th neighbour from
the next all that may be it are. Every row's result is its own: it does not depend on the other queries.

Shapes: N queries, M points, E features, K neighbours, B queries of a block, C points padded to whole chunks, P pairs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = [
    "TIE",
    "Block",
    "Neighbours",
    "Rows",
    "either",
    "kth_distance",
    "nearest",
    "nearest_others",
    "other_cells",
    "others",
    "rows_of",
    "same_group",
    "search",
]

TIE = 1e-9
"""Distances that differ by less than this share count as equal: float64 sums of other orders do."""

_BLOCK = 2**22
"""Distances held at a time."""
_CHUNK = 32
"""Neighbouring points whose least distance is looked at first."""
_FAR = 1e37
"""Squared distance of the points that fill up the last chunk."""

Exclude = Callable[[Tensor, Tensor], None]
"""Sets to infinity, in (B, M) distances, those of query rows (B,) to what must not be their neighbour."""


class Neighbours(NamedTuple):
    """The nearest points of each query, nearest first."""

    distance_NK: Tensor
    """float64 Euclidean distances; infinite where fewer points than K are allowed."""
    index_NK: Tensor
    """int64 index of the point; -1 where there is none."""


class Rows(NamedTuple):
    """A set of rows made ready for products; see :func:`rows_of`."""

    exact_NE: Tensor
    """Rows as given."""
    augmented_CE: Tensor
    """Centred rows y as (y, |y|^2, 1), which times (-2 x, 1, |x|^2) is the squared distance; padding is far away."""

    def __len__(self) -> int:
        return len(self.exact_NE)

    def squared_distances(self, query_P: Tensor, points: Rows, point_P: Tensor) -> Tensor:
        """float64 squared distances of pairs, from the differences."""
        step = max(1, 2**20 // max(1, self.exact_NE.shape[1]))
        parts = [
            (points.exact_NE[p].double() - self.exact_NE[q].double()).square().sum(-1)
            for q, p in zip(torch.split(query_P, step), torch.split(point_P, step), strict=True)
        ]
        return torch.cat(parts) if parts else self.exact_NE.new_zeros(0, dtype=torch.float64)

    def blocks(self, points: Rows) -> Iterator[Block]:
        """Distances of all these rows to all points; a block is overwritten by the next."""
        device, columns = self.exact_NE.device, len(points.augmented_CE)
        size = max(1, min(len(self), _BLOCK // columns))
        size = math.ceil(len(self) / math.ceil(len(self) / size))  # of one size, not a large one and a rest
        buffer_BC = torch.empty(size, columns, device=device)
        largest = float(points.augmented_CE[: len(points), -2].max())
        for start in range(0, len(self), size):
            row_B = torch.arange(start, min(start + size, len(self)), device=device)
            rows_BE = self.augmented_CE[start : start + len(row_B)]
            queries_BE = torch.cat((-2 * rows_BE[:, :-2], rows_BE[:, -1:], rows_BE[:, -2:-1]), 1)
            squared_BC = torch.mm(queries_BE, points.augmented_CE.T, out=buffer_BC[: len(row_B)])
            # rounding of a sum of E terms; the bound that holds always has E in place of its root
            error = (4 + math.sqrt(self.exact_NE.shape[1])) * 2**-23 * (float(rows_BE[:, -2].max()) + largest)
            yield Block(self, points, row_B, squared_BC, error)


class Block(NamedTuple):
    """Squared distances of some queries to all points, to within ``error``."""

    queries: Rows
    points: Rows
    row_B: Tensor
    squared_BC: Tensor
    error: float

    @property
    def squared_BM(self) -> Tensor:
        """Without the padding; as a product gives them, so perhaps below 0."""
        return self.squared_BC[:, : len(self.points)]

    def pairs_within(self, limit_B: Tensor) -> tuple[Tensor, Tensor]:
        """Pairs (query, point) with squared distances up to the query's float64 limit; ties are in."""
        place_P, point_P, squared_P = _at_most(self.squared_BC, limit_B.float() + self.error)
        doubtful_P = squared_P >= limit_B[place_P] - self.error
        kept_P = ~doubtful_P
        place_D, point_D = place_P[doubtful_P], point_P[doubtful_P]
        kept_P[doubtful_P] = self.exactly(place_D, point_D) <= limit_B[place_D] * (1 + TIE)
        return self.row_B[place_P[kept_P]], point_P[kept_P]

    def any_within(self, limit_M: Tensor) -> Tensor:
        """(B,) bool: whether some point's float64 limit holds its squared distance to the query; ties are in.

        Overwrites the block.
        """
        padding = self.squared_BC.shape[1] - len(limit_M)
        excess_BC = self.squared_BC.sub_(torch.nn.functional.pad(limit_M.float(), (0, padding)))
        least_B = excess_BC.amin(1)
        found_B = least_B < -self.error
        doubtful_D = (~found_B & (least_B <= self.error)).nonzero()[:, 0]
        place_P, point_P = (excess_BC[doubtful_D] <= self.error).nonzero().unbind(1)
        hit_P = self.exactly(doubtful_D[place_P], point_P) <= limit_M[point_P] * (1 + TIE)
        found_B[doubtful_D[place_P[hit_P]]] = True
        return found_B

    def exactly(self, place_P: Tensor, point_P: Tensor) -> Tensor:
        """float64 squared distances of pairs of this block."""
        place_U, inverse_P = torch.unique(place_P, return_inverse=True)
        if len(place_P) * 8 < len(place_U) * len(self.points):
            return self.queries.squared_distances(self.row_B[place_P], self.points, point_P)
        squared_P = place_P.new_empty(len(place_P), dtype=torch.float64)
        for start, squared_BM in _directly(self.queries, self.row_B[place_U], self.points):
            here_P = (inverse_P >= start) & (inverse_P < start + len(squared_BM))
            squared_P[here_P] = squared_BM[inverse_P[here_P] - start, point_P[here_P]]
        return squared_P


def rows_of(*sets_NE: Tensor) -> tuple[Rows, ...]:
    """Make sets ready to be compared, centred on the mean of the last.

    Raises:
        ValueError: they are not matrices of one width with at least one row, or a number is not finite.
    """
    if len({rows.shape[1:] for rows in sets_NE}) != 1 or sets_NE[0].ndim != 2 or not all(len(s) for s in sets_NE):
        raise ValueError(f"shapes {', '.join(str(tuple(s.shape)) for s in sets_NE)} are no sets of rows of one width")
    sets_NE = tuple(rows.float() for rows in sets_NE)
    centre_E = sets_NE[-1].mean(0, dtype=torch.float64).float()
    found = []
    for rows_NE in sets_NE:
        augmented_CE = rows_NE.new_zeros(len(rows_NE) + -len(rows_NE) % _CHUNK, rows_NE.shape[1] + 2)
        centred_NE = torch.sub(rows_NE, centre_E, out=augmented_CE[: len(rows_NE), :-2])
        augmented_CE[:, -2] = _FAR
        augmented_CE[: len(rows_NE), -2] = torch.linalg.vector_norm(centred_NE, dim=1).square()
        augmented_CE[:, -1] = 1
        if not bool(augmented_CE[:, -2].isfinite().all()):
            raise ValueError("rows must be finite")
        found.append(Rows(rows_NE, augmented_CE))
    return tuple(found)


def nearest(
    queries_NE: Tensor, points_ME: Tensor, count: int = 1, *, groups: tuple[Tensor, Tensor] | None = None
) -> Neighbours:
    """The ``count`` points nearest to each query, by Euclidean distance.

    Args:
        queries_NE: (N, E) finite; taken as float32.
        points_ME: (M, E) finite, on the same device.
        count: K.
        groups: (N,) and (M,) group of each query and point: a point of the query's group is no neighbour of it.

    Raises:
        ValueError: the shapes do not fit, or a number is not finite.
    """
    queries, points = rows_of(queries_NE, points_ME)
    return search(queries, points, count, None if groups is None else same_group(*groups))


def nearest_others(points_NE: Tensor, count: int = 1, *, group_N: Tensor | None = None) -> Neighbours:
    """The ``count`` nearest other points of each; those of its own group, where groups are given, are none of them.

    Raises:
        ValueError: the shape does not fit, or a number is not finite.
    """
    (points,) = rows_of(points_NE)
    return search(points, points, count, others(group_N))


def kth_distance(points: Rows, k: int, group_N: Tensor | None = None) -> Tensor:
    """(N,) float64 distance of each point to its k-th nearest other; infinite where there are fewer than k."""
    return search(points, points, k, others(group_N), last_only=True).distance_NK[:, 0]


def others(group_N: Tensor | None) -> Exclude:
    """Exclude the point itself, or all points of its group."""
    if group_N is None or len(torch.unique(group_N)) == len(group_N):
        return _itself
    return same_group(group_N, group_N)


def _itself(row_B: Tensor, squared_BM: Tensor) -> None:
    squared_BM[torch.arange(len(row_B), device=row_B.device), row_B] = torch.inf


def same_group(group_N: Tensor, group_M: Tensor) -> Exclude:
    """Exclude points of the query's group."""

    def exclude(row_B: Tensor, squared_BM: Tensor) -> None:
        squared_BM.masked_fill_(group_N[row_B][:, None] == group_M, torch.inf)

    return exclude


def other_cells(cell_N: Tensor | None, cell_M: Tensor | None) -> Exclude | None:
    """Exclude points of another cell than the query's; nothing where there are no cells."""
    if cell_N is None or cell_M is None:
        return None

    def exclude(row_B: Tensor, squared_BM: Tensor) -> None:
        squared_BM.masked_fill_(cell_N[row_B][:, None] != cell_M, torch.inf)

    return exclude


def either(*excludes: Exclude | None) -> Exclude:
    """Exclude what one of them does."""

    def exclude(row_B: Tensor, squared_BM: Tensor) -> None:
        for one in excludes:
            if one:
                one(row_B, squared_BM)

    return exclude


def search(
    queries: Rows, points: Rows, count: int, exclude: Exclude | None = None, *, last_only: bool = False
) -> Neighbours:
    """The ``count`` neighbours of each query, or the last of them only, which is quicker: (N, 1)."""
    if count < 1:
        raise ValueError(f"{count} neighbours cannot be asked for")
    found = [_search_block(block, count, exclude, count - 1 if last_only else 0) for block in queries.blocks(points)]
    return Neighbours(*(torch.cat(parts) for parts in zip(*found, strict=True)))


def _search_block(block: Block, count: int, exclude: Exclude | None, first: int) -> Neighbours:
    if exclude:
        exclude(block.row_B, block.squared_BM)
    rough_BK, index_BK = _smallest(block.squared_BC, count + 1)
    rough_BK = rough_BK.where(rough_BK < _FAR / 2, torch.inf)
    wanted_BK = index_BK[:, first:count]
    place_P = torch.arange(len(wanted_BK), device=wanted_BK.device).repeat_interleave(wanted_BK.shape[1])
    squared_P = block.queries.squared_distances(
        block.row_B[place_P], block.points, wanted_BK.flatten().clamp_max(len(block.points) - 1)
    )
    squared_BK = squared_P.view_as(wanted_BK).where(rough_BK[:, first:count].isfinite(), torch.inf)
    # inf - inf is nan, which is not close: where points run out there is nothing to tell apart
    close_B = rough_BK[:, count] - rough_BK[:, count - 1] <= 2 * block.error
    if first:
        close_B |= rough_BK[:, first] - rough_BK[:, first - 1] <= 2 * block.error
    close = (close_B & rough_BK[:, count - 1].isfinite()).nonzero()[:, 0]
    if len(close):
        limit_R = rough_BK[close, count - 1] + 2 * block.error
        place_P, point_P = (block.squared_BC[close] <= limit_R[:, None]).nonzero().unbind(1)
        exact_RC = torch.full(
            (len(close), block.squared_BC.shape[1]), torch.inf, dtype=torch.float64, device=close.device
        )
        exact_RC[place_P, point_P] = block.exactly(close[place_P], point_P)
        squared_BK[close], wanted_BK[close] = (part[:, first:] for part in exact_RC.topk(count, largest=False))
    squared_BK, order_BK = squared_BK.sort(dim=1, stable=True)
    index_BK = wanted_BK.gather(1, order_BK).where(squared_BK.isfinite(), -1)
    return Neighbours(squared_BK.sqrt(), index_BK)


def _directly(queries: Rows, row_R: Tensor, points: Rows) -> Iterator[tuple[int, Tensor]]:
    """(start, float64 squared distances of the next rows to all points), from the differences."""
    step = max(1, _BLOCK // 4 // len(points))
    points_ME = points.exact_NE.double()
    for start in range(0, len(row_R), step):
        chosen_BE = queries.exact_NE[row_R[start : start + step]].double()
        distance_BM = torch.cdist(chosen_BE, points_ME, compute_mode="donot_use_mm_for_euclid_dist")
        yield start, distance_BM.square_()


def _smallest(values_BC: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The ``count`` smallest of each row, ascending, with their places; filled up where a row has fewer.

    They lie in the ``count`` chunks with the smallest minima: of any other chunk each value has ``count`` before it.
    """
    rows, columns = values_BC.shape
    if count * _CHUNK * 4 > columns:
        least = values_BC.topk(min(count, columns), largest=False)
        missing = count - least.values.shape[1]
        pad = torch.nn.functional.pad
        return pad(least.values, (0, missing), value=torch.inf), pad(least.indices, (0, missing))
    chunks_BHW = values_BC.view(rows, -1, _CHUNK)
    chunk_BK = chunks_BHW.amin(2).topk(count, largest=False, sorted=False).indices
    row_B1 = torch.arange(rows, device=values_BC.device)[:, None]
    least = chunks_BHW[row_B1, chunk_BK].flatten(1).topk(count, largest=False)
    chunk_of_BK = chunk_BK.gather(1, least.indices // _CHUNK)
    return least.values, chunk_of_BK * _CHUNK + least.indices % _CHUNK


def _at_most(values_BC: Tensor, limit_B: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Row, column and value of what is up to the limit of its row: most chunks hold nothing that is."""
    chunks_BHW = values_BC.view(len(values_BC), -1, _CHUNK)
    row_H, chunk_H = (chunks_BHW.amin(2) <= limit_B[:, None]).nonzero().unbind(1)
    chosen_HW = chunks_BHW[row_H, chunk_H]
    chosen_P, place_P = (chosen_HW <= limit_B[row_H, None]).nonzero().unbind(1)
    return row_H[chosen_P], chunk_H[chosen_P] * _CHUNK + place_P, chosen_HW[chosen_P, place_P]

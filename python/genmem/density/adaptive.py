"""Widths that follow the density: each row's own, by the distance to its k-th neighbour."""

from __future__ import annotations

import numpy as np

from genmem.density.duplicates import equal_rows
from genmem.density.nearest_radii import last_radii_sq
from genmem.density.rows import Float64, Rows


def neighbor_scales(
    points: Rows,
    weights: Float64 | None,
    k: int,
    operation: str,
    *,
    memory: int,
    threads: int | None,
    backend: str,
) -> Float64:
    """lambda_j = r_j / exp(sum_j w_j log r_j / W), r_j = distance to the k-th nearest distinct row.

    Equal rows count as one neighbour, so no width is 0, and a row of weight 2 is two equal rows.

    points   (N, d); one pass over all pairs of distinct rows
    weights  (N,) or None: a row of weight 0 is a row left out, its lambda is 1

    Raises ValueError if there are not more than k distinct rows of positive weight.
    Source: Breiman, Meisel & Purcell (1977), Technometrics 19, 135.
    """
    kept = np.arange(len(points)) if weights is None else np.flatnonzero(weights > 0)
    present = points if len(kept) == len(points) else points[kept]
    equal = equal_rows(present)
    rows = present if len(equal.first) == len(present) else present[equal.first]
    if len(rows) <= k:
        raise ValueError(
            f"{operation}: adaptive is {k} and X has {len(rows)} sample{'s'[: len(rows) > 1]} of "
            f"positive weight (equal ones counted once); at least {k + 1} are wanted"
        )
    radius_sq = last_radii_sq(
        rows, rows, k, "self", memory=memory, threads=threads, backend=backend
    )[:, -1]
    log_radius = (0.5 * np.log(radius_sq))[equal.group]
    share = None if weights is None else weights[kept]
    scales = np.ones(len(points))
    scales[kept] = np.exp(log_radius - np.average(log_radius, weights=share))
    return scales

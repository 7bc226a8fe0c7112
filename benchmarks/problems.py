"""The problems that contenders are given."""

import numpy as np


def query_mix(
    d: int, m: int, n: int, offset: float = 1.0, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """A quarter exact copies, a quarter near-copies, half fresh: (queries, points) in float32.

    Without copies the table rewards wrong kernels, without fresh points it hides scikit-learn's
    defect above 16 dimensions.
    """
    rng = np.random.default_rng(seed)
    points = (rng.standard_normal((n, d)) + offset).astype(np.float32)
    queries = (rng.standard_normal((m, d)) + offset).astype(np.float32)
    queries[: m // 2] = points[: m // 2]
    near = slice(m // 4, m // 2)
    queries[near] += (1e-3 * rng.standard_normal((m // 2 - m // 4, d))).astype(np.float32)
    return queries, points

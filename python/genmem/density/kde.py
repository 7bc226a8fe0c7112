"""Gaussian kernel density."""

from __future__ import annotations

from genmem.density.kernel_density import AbstractKernelDensity
from genmem.density.rows import MEMORY


class GaussianKDE(AbstractKernelDensity):
    """Log-density under Gaussian kernels, in nats.

    log p(z) = logsumexp_i a_i - log W - d log h - (d/2) log 2 pi,  a_i = log w_i - |z - x_i|^2/2h^2
    IF(x_i, z) = log((W - w_i)/W) - log(1 - r_i),  r_i = exp(a_i - logsumexp a),  W = sum w_i
    M_i = log((W - w_i)/W) + softplus(log w_i - s_i),  s_i = logsumexp_{j != i} a_j at z = x_i
    grad log p(z) = sum_i r_i (x_i - z) / (h lambda_i)^2

    bandwidth       h in data units, a standard deviation; or how to choose it: "loo" (maximum
                    leave-one-out likelihood), "scott" or "silverman" (by the data's scale)
    adaptive        None, or k: row i gets the width h lambda_i, lambda_i its distance to its k-th
                    nearest distinct row over the (weighted) geometric mean of these distances, and
                    a_i = log w_i - d log lambda_i - |z - x_i|^2 / (2 h^2 lambda_i^2). One more pass
                    over all pairs. To leave a row out changes no other row's width
    duplicates      for "loo": "group": the search leaves a row out together with its equals, so
                    that m equal rows choose the width of one row of weight m; or "raise": it leaves
                    out one row at a time, which equals pull towards h = 0, and refuses data where
                    every row has one: h -> 0 is then unbounded. Influence is by row with either
    bandwidth_rows  for "loo": at most so many rows are left out one at a time, each against all
                    others; None = all. Up to so many rows the search is exact
    seed            seed of the draw of those rows
    memory          working memory in bytes, beyond inputs and answers
    threads         threads of the kernels, None = as many as the process may use
    backend         backend of the kernels

    Fitted: bandwidth_ (float), points_ (N, d), weights_ and scales_ (N,) or None, n_features_in_,
    and bandwidth_search_, a LeaveOneOut (bandwidth, log_likelihood, rows), None unless "loo".

    Distances are differences first, squares second, in float64, and nothing leaves log space, so
    gaps of hundreds of nats and thousands of dimensions are ordinary. Every influence is at least
    log((W - w_i)/W): a kernel density has no strong opponents.
    Source: Silverman (1986), Density Estimation for Statistics and Data Analysis, ch. 4.
    """

    def __init__(
        self,
        bandwidth: float | str = "loo",
        *,
        adaptive: int | None = None,
        duplicates: str = "group",
        bandwidth_rows: int | None = 2000,
        seed: int = 0,
        memory: int = MEMORY,
        threads: int | None = None,
        backend: str = "auto",
    ) -> None:
        self.bandwidth = bandwidth
        self.adaptive = adaptive
        self.duplicates = duplicates
        self.bandwidth_rows = bandwidth_rows
        self.seed = seed
        self.memory = memory
        self.threads = threads
        self.backend = backend

    @property
    def _kernel(self) -> str:
        return "gaussian"

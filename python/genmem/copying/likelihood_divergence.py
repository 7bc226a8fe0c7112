"""FLD: how likely are held-out data under Gaussians around the generated samples?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from genmem.arrays import Readable
from genmem.copying.chance import generator, subset
from genmem.copying.distances import CopyingDistances, gathered
from genmem.copying.exchange import permutation_pvalue
from genmem.copying.generated_mixture import (
    RowScores,
    fit_log_scales,
    log_normal,
    near_pairs,
    score_rows,
    standardised,
)
from genmem.copying.resampling import check_level, percentile
from genmem.copying.results import CopyingResult, policy
from genmem.copying.sets import Features, Float64, Rows
from genmem.density.parameters import check_choice, check_count
from genmem.kernels import nearest_sq

MEMORY = 1 << 27
_FEWER = (
    "{} generated samples but {} training rows in the baseline: the more centres, the more likely "
    "the held-out rows, so FLD is lower than for equal numbers"
)


@dataclass(frozen=True, kw_only=True, eq=False)
class LikelihoodDivergence(CopyingResult):
    """FLD and the gaps between training and held-out rows, in hundredths of a nat per feature.

    statistic     FLD = 100 (NLL_test - NLL of the baseline) / d: 0 = as good as training data
    reference     FLD of held-out samples: half of them as centres, scored on the other half
    ci            over held-out rows, the mixtures being as they are
    per_sample    (m,) max_i log N(x_i; g_j, s_j I) / d over training rows, nats per feature; high =
                  copied
    per_row       (N,) max_j log N(x_i; g_j, s_j I) / d of each training row
    gap           100 (NLL_train - NLL_test) / d, scales fitted to the training rows: negative =
                  overfit, and below 0 without copying too
    balanced_gap  the same with PCA, standardisation and scales fitted to training and held-out rows
                  together: 0 without copying. balanced_ci over rows; `pvalue` belongs to it
    nll_train, nll_test, nll_baseline  mean -log p in nats
    dropped       features left out of FLD because they do not vary
    """

    name = "likelihood_divergence"
    copying_is = "high"

    per_row: Float64
    gap: float
    balanced_gap: float
    balanced_ci: tuple[float, float]
    nll_train: float
    nll_test: float
    nll_baseline: float
    dropped: int


class _Scored(NamedTuple):
    """A mixture around some centres, and the rows it was asked about."""

    log_s: Float64
    train: RowScores
    test: RowScores


def likelihood_divergence(
    train: Readable,
    test: Readable,
    generated: Readable,
    *,
    features: Features = None,
    seed: int = 0,
    duplicates: str = "keep",
    distances: CopyingDistances | None = None,
    standardise: str = "train",
    steps: int = 100,
    permutations: int = 999,
    resamples: int = 1000,
    level: float = 0.95,
    memory: int = MEMORY,
    threads: int | None = None,
) -> LikelihoodDivergence:
    """Feature likelihood divergence, its gap between training and held-out rows, and row scores.

    log p(x) = log sum_j N(x; g_j, s_j I) - log m;  s_j maximise the likelihood of the training rows
    FLD = 100 (NLL_test - baseline) / d, baseline = NLL_test with centres from half of the training
    rows and scales fitted to the other half

    train, test, generated  (N >= 2, ...), (n, ...), (m, ...); the baseline and the reference take
                            at most as many centres as there are generated samples
    features     "pixels" (default), "pca", a function of one set, or three arrays. A function or
                 arrays that were fitted to the training rows alone, a network trained on them say,
                 void the p-value: it would be small, or 1, without copying
    duplicates   "keep", "distinct" (equal training rows count once) or "raise"
    distances    the rows of these three sets in feature space, made before
    standardise  "train": features in units of their standard deviation over the training rows,
                 those that do not vary left out; "test": over the held-out rows, as FLD's own code
                 does; "none". The balanced gap: over both together, unless "none"
    steps        at most, of each fit of the scales; it stops when a step gains nothing
    memory       bytes of working memory. Scales are fitted on the components nearest to each row,
                 as many as fit; likelihoods at these scales are exact

    p-value: the generated samples came about without the training rows, so that training and
    held-out rows are exchangeable: their labels are permuted and the balanced gap compared. All
    that it rests on is fitted to both together; with "distinct" it holds as far as held-out rows
    are distinct too.

    Raises ValueError for wrong shapes, values that are not finite, or an option out of range.
    Source: Jiralerspong et al. (2023), Feature likelihood divergence: evaluating the generalization
    of generative models using samples.
    """
    operation = "likelihood_divergence"
    check_level(operation, level, resamples)
    check_count(permutations, "permutations", operation)
    check_count(steps, "steps", operation)
    check_choice(standardise, "standardise", ("train", "test", "none"), operation)
    held = gathered(operation, (train, test, generated), features, seed, threads, distances)
    treated = policy(operation, held, duplicates)
    rows = held.train if duplicates == "keep" else held.distinct
    if len(rows) < 2:
        raise ValueError(f"{operation}: train has {len(rows)} row; at least 2 are wanted")
    sets, dropped = _scaled((rows, held.test, held.generated), standardise)
    work = _Work(steps, memory, held.threads)
    found, apart = work.fitted(sets[2], sets[0], sets[0], sets[1])
    baseline = work.baseline(sets, held.seed)
    fewer = len(sets[2]) > len(rows) // 2
    unit = 100 / sets[0].shape[1]
    loss = unit * (baseline.test.log_p - found.test.log_p)
    alike = held.pooled
    if duplicates != "keep":
        alike = alike._replace(train=alike.train[held.equal.first])
    balanced = work.balanced(alike, standardise)
    gap = float(balanced[0].mean() - balanced[1].mean())
    spread = _spread(loss, *balanced, resamples, held.seed)
    per_row = found.train.best / sets[0].shape[1]
    return LikelihoodDivergence(
        statistic=float(loss.mean()),
        reference=work.reference(sets, held.seed),
        pvalue=_pvalue(gap, *balanced, permutations, held.seed),
        ci=percentile(spread[:, 0], level),
        level=level,
        per_sample=log_normal(apart, found.log_s, sets[0].shape[1]) / sets[0].shape[1],
        null="the generated samples came about without the training rows, which are then "
        f"exchangeable with held-out rows: labels of rows permuted {permutations} times, for the "
        "balanced gap",
        copies=int((apart == 0).sum()),
        notes=(_FEWER.format(len(sets[2]), len(rows) // 2),) if fewer else (),
        duplicates=treated,
        per_row=per_row if duplicates == "keep" else per_row[held.equal.group],
        gap=unit * float(found.test.log_p.mean() - found.train.log_p.mean()),
        balanced_gap=gap,
        balanced_ci=percentile(spread[:, 1], level),
        nll_train=-float(found.train.log_p.mean()),
        nll_test=-float(found.test.log_p.mean()),
        nll_baseline=-float(baseline.test.log_p.mean()),
        dropped=dropped,
    )


class _Work(NamedTuple):
    """How mixtures are fitted: steps at most, bytes, threads."""

    steps: int
    memory: int
    threads: int | None

    def fitted(self, centres: Rows, rows: Rows, train: Rows, test: Rows) -> tuple[_Scored, Float64]:
        """The mixture fitted to `rows`, training and held-out rows under it, and the squared
        distance (m,) of each centre to the nearest of `rows`."""
        pairs = near_pairs(rows, centres, self.memory, self.threads)
        apart = nearest_sq(centres, rows, 1, threads=self.threads)[0][:, 0]
        origin = np.square(rows.astype(np.float64)).sum(axis=1)
        log_s = fit_log_scales(pairs, origin, apart, rows.shape[1], self.steps)
        scored = (
            score_rows(side, centres, log_s, self.memory, self.threads) for side in (train, test)
        )
        return _Scored(log_s, *scored), apart

    def balanced(self, sets: tuple[Rows, ...], standardise: str) -> tuple[Float64, Float64]:
        """-log p of training (N,) and held-out (n,) rows, hundredths of a nat per feature, under a
        mixture that treats them alike: the labels of the rows touch nothing but the answer."""
        scaled, _ = _scaled(sets, "none" if standardise == "none" else "both")
        train, test, generated = scaled
        both, _ = self.fitted(generated, np.concatenate([train, test]), train, test)
        unit = 100 / train.shape[1]
        return -unit * both.train.log_p, -unit * both.test.log_p

    def baseline(self, sets: tuple[Rows, ...], seed: int) -> _Scored:
        """Centres from half of the training rows, scales fitted to the other half."""
        train, test, generated = sets
        inner = np.zeros(len(train), np.bool_)
        inner[subset(len(train), len(train) // 2, seed, "halves of FLD")] = True
        centres = train[inner]
        centres = centres[subset(len(centres), len(generated), seed, "centres of FLD")]
        return self.fitted(centres, train[~inner], train[~inner], test)[0]

    def reference(self, sets: tuple[Rows, ...], seed: int) -> float:
        """FLD of one half of the held-out rows, on the other half; NaN if there are no two rows."""
        train, test, generated = sets
        if len(test) < 2:
            return np.nan
        inner = np.zeros(len(test), np.bool_)
        inner[subset(len(test), len(test) // 2, seed, "held-out halves of FLD")] = True
        centres = test[inner]
        centres = centres[subset(len(centres), len(generated), seed, "held-out centres of FLD")]
        rest = test[~inner]
        found = self.fitted(centres, train, rest, rest)[0]
        baseline = self.baseline((train, rest, centres), seed)
        difference = baseline.test.log_p.mean() - found.test.log_p.mean()
        return float(100 / train.shape[1] * difference)


def _scaled(sets: tuple[Rows, ...], by: str) -> tuple[tuple[Rows, ...], int]:
    if by == "none":
        return sets, 0
    rows = {"train": sets[0], "test": sets[1]}.get(by)
    return standardised(sets, np.concatenate(sets[:2]) if rows is None else rows)


def _pvalue(gap: float, train: Float64, test: Float64, permutations: int, seed: int) -> float:
    """Lower tail of the difference of means of two samples (N,), (n,) under permuted labels."""
    pooled = np.concatenate([train, test])
    random = generator(seed, "labels of FLD")
    null = np.empty(permutations)
    for number in range(permutations):
        drawn = random.permutation(pooled)
        null[number] = drawn[: len(train)].mean() - drawn[len(train) :].mean()
    return permutation_pvalue(gap, null, high=False)


def _spread(loss: Float64, train: Float64, test: Float64, resamples: int, seed: int) -> Float64:
    """FLD and balanced gap of resamples of training and held-out rows, (B, 2)."""
    random = generator(seed, "resamples of FLD")
    found = np.empty((resamples, 2))
    for one in found:
        rows = random.integers(0, len(test), len(test))
        others = random.integers(0, len(train), len(train))
        one[:] = loss[rows].mean(), train[others].mean() - test[rows].mean()
    return found

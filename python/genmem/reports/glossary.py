"""The words of the page, explained for a reader who meets them for the first time."""

from __future__ import annotations

GLOSSARY: tuple[tuple[str, str], ...] = (
    (
        "nat",
        "The unit of log p. A difference of 1 nat is a factor of 2.7 in probability "
        "density, 3 nats a factor of 20, 10 nats a factor of 22,000.",
    ),
    (
        "log p",
        "The log-density that a model gives to a sample, in nats. Higher means that the "
        "model finds it more probable.",
    ),
    (
        "M, the memorization score",
        "log p of a sample under models that trained on it, less log p under models that "
        "did not, everything else being equal. Near 0: the sample is explained by the "
        "others. Large: the model can only know it by having seen it. M is estimated by "
        "cross-validation: many models, each trained without one fold.",
    ),
    (
        "interval",
        "The 95\u202f% interval of M over repeats of the cross-validation: how far the score "
        "could move if the models were trained again with other folds and other random "
        "numbers.",
    ),
    (
        "q-value, false discovery rate",
        "The p-value asks how often a sample that is not memorized would look as memorized "
        "as this one. The q-value corrects it for asking that of every sample: among all "
        "samples with q ≤ 0.05, about 5\u202f% are expected to be false alarms. The page calls "
        "these samples memorized.",
    ),
    (
        "q95, q99.9",
        "The score that 95\u202f% (99.9\u202f%) of the samples stay below. The quantiles describe "
        "the data set; they are not thresholds of significance.",
    ),
    (
        "nearest neighbours",
        "The three most similar other samples by Euclidean distance between pixels scaled "
        "to [0, 1]. A distance of 0 is an exact copy.",
    ),
    (
        "proponents, opponents",
        "Training samples whose gradient steps raised (lowered) log p of the sample, by "
        "TracIn along one training run. The strongest proponent is often the sample itself. "
        "Compare scores within one sample, not between samples.",
    ),
    (
        "self-influence",
        "TracIn of a sample on itself: a first-order estimate of M from a single training "
        "run instead of many.",
    ),
    (
        "rank correlation",
        "Spearman's coefficient: 1 if two quantities order the samples alike, −1 if in "
        "reverse, 0 if they have nothing to do with each other.",
    ),
    (
        "attributes held fixed",
        "Partial rank correlation: what is left of the agreement of two models once the "
        "attributes of the data have been regressed out of both scores.",
    ),
    (
        "overlap at the top",
        "How many samples are among the k most memorized of both models. Two unrelated "
        "rankings of N samples share k²/N.",
    ),
)

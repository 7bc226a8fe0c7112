"""Orders and noise are functions of their keys."""

import numpy as np
import pytest
from scipy import stats

from genmem.training.seeds import (
    evaluation_noise,
    generation_noise,
    permutation,
    training_noise,
)

NAMES = np.arange(1000)


def test_an_order_is_a_permutation_of_its_epoch_and_seed() -> None:
    order = permutation(1, 1, NAMES)
    assert np.array_equal(np.sort(order), NAMES)
    assert np.array_equal(order, permutation(1, 1, NAMES))
    assert not np.array_equal(order, permutation(1, 2, NAMES))
    assert not np.array_equal(order, permutation(2, 1, NAMES))


def test_leaving_samples_out_keeps_the_order_of_the_others() -> None:
    kept = np.setdiff1d(NAMES, [3, 500, 999])
    whole = NAMES[permutation(1, 1, NAMES)]
    assert np.array_equal(kept[permutation(1, 1, kept)], whole[np.isin(whole, kept)])


def test_orders_are_uniform() -> None:
    first = [int(permutation(0, epoch, np.arange(5))[0]) for epoch in range(1, 2001)]
    assert stats.chisquare(np.bincount(first, minlength=5)).pvalue > 1e-3


def test_training_noise_of_an_epoch_follows_on_that_of_the_last() -> None:
    """Epochs of 2 draws use draws 0-1, 2-3, ...: one epoch of 4 draws is the first two."""
    two = [training_noise(5, epoch, NAMES, 2, 3) for epoch in (1, 2)]
    assert two[0].shape == (1000, 2, 3)
    assert np.array_equal(np.concatenate(two, 1), training_noise(5, 1, NAMES, 4, 3))


@pytest.mark.parametrize("rows", [[7], [9, 2, 400]])
def test_noise_of_a_sample_does_not_know_its_batch(rows: list[int]) -> None:
    assert np.array_equal(
        training_noise(5, 3, NAMES[rows], 2, 3), training_noise(5, 3, NAMES, 2, 3)[rows]
    )
    assert np.array_equal(
        evaluation_noise(5, NAMES[rows], 8, 3), evaluation_noise(5, NAMES, 8, 3)[rows]
    )


def test_fewer_draws_are_the_first_of_more() -> None:
    assert np.array_equal(evaluation_noise(5, NAMES, 3, 2), evaluation_noise(5, NAMES, 8, 2)[:, :3])
    assert np.array_equal(generation_noise(5, 3, 2), generation_noise(5, 8, 2)[:3])


def test_uses_do_not_share_numbers() -> None:
    training = training_noise(5, 1, NAMES, 1, 2)[:, 0]
    evaluation = evaluation_noise(5, NAMES, 1, 2)[:, 0]
    generation = generation_noise(5, 1000, 2)
    for a, b in ((training, evaluation), (training, generation), (evaluation, generation)):
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) <= 0.1
        assert not (a == b).any()

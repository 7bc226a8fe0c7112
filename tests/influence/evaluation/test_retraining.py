"""Retraining on parts of the data: subsets, averages over seeds, files that a killed run leaves."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from genmem.errors import RunMismatchError
from genmem.influence.evaluation import datamodel_subsets, leave_one_out, retrained_outputs

VALUES = np.array([1.0, 2.0, 4.0, 8.0])


def train(rows: npt.NDArray[np.int64], seed: int) -> float:
    """The "model" is a sum; the seed adds noise."""
    return VALUES[rows].sum() + 0.5 * seed


def evaluate(model: float) -> list[float]:
    return [model, -2 * model]


MASKS = np.array([[1, 1, 0, 0], [0, 1, 1, 1], [1, 1, 1, 1]], np.bool_)


def test_outputs_are_means_over_seeds() -> None:
    got = retrained_outputs(train, evaluate, MASKS, seeds=3)
    np.testing.assert_allclose(got, [[3.5, -7], [14.5, -29], [15.5, -31]])


def test_executors_give_the_same() -> None:
    want = retrained_outputs(train, evaluate, MASKS)
    with ThreadPoolExecutor(2) as threads:
        got = retrained_outputs(train, evaluate, MASKS, executor=threads)
    np.testing.assert_array_equal(got, want)


@pytest.mark.slow
def test_processes_give_the_same() -> None:
    with ProcessPoolExecutor(1) as processes:
        got = retrained_outputs(train, evaluate, MASKS, executor=processes)
    np.testing.assert_array_equal(got, retrained_outputs(train, evaluate, MASKS))


def test_a_killed_run_goes_on(tmp_path: Path) -> None:
    calls: list[int] = []

    def counting(rows: npt.NDArray[np.int64], seed: int) -> float:
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(len(rows))
        return train(rows, seed)

    with pytest.raises(KeyboardInterrupt):
        retrained_outputs(counting, evaluate, MASKS, out=tmp_path)
    calls.clear()
    seen: list[tuple[str, int, int]] = []
    got = retrained_outputs(
        counting, evaluate, MASKS, out=tmp_path, progress=lambda *facts: seen.append(facts)
    )
    assert calls == [4]
    assert seen == [("retraining", done, 3) for done in (1, 2, 3)]
    np.testing.assert_array_equal(got, retrained_outputs(train, evaluate, MASKS))
    with pytest.raises(RunMismatchError, match="seeds: 1 there, 2 now"):
        retrained_outputs(train, evaluate, MASKS, 2, out=tmp_path)
    with pytest.raises(RunMismatchError, match="label: '' there, 'other' now"):
        retrained_outputs(train, evaluate, MASKS, out=tmp_path, label="other")
    broken = tmp_path / "subset_000001.safetensors"
    broken.write_bytes(broken.read_bytes()[:-3])
    calls.clear()
    with pytest.warns(RuntimeWarning, match="retrained_outputs: made again: .*subset_000001"):
        again = retrained_outputs(counting, evaluate, MASKS, out=tmp_path)
    assert calls == [3]
    np.testing.assert_array_equal(again, got)


def test_leave_one_out_is_the_difference() -> None:
    want = np.outer([1, -2], VALUES)
    np.testing.assert_allclose(leave_one_out(train, evaluate, 4, seeds=2), want)
    np.testing.assert_allclose(leave_one_out(train, evaluate, 4, [3, 0]), want[:, [3, 0]])


def test_subsets_are_of_one_size_and_do_not_depend_on_their_number() -> None:
    masks = datamodel_subsets(40, 2000, 0.25, seed=3)
    assert masks.shape == (2000, 40)
    assert (masks.sum(1) == 10).all()
    assert (np.abs(masks.mean(0) - 0.25) < 0.05).all()
    np.testing.assert_array_equal(datamodel_subsets(40, 5, 0.25, seed=3), masks[:5])
    assert (datamodel_subsets(40, 5, 0.25, seed=4) != masks[:5]).any()


def test_what_cannot_be_trained_is_refused() -> None:
    for masks in (np.zeros((2, 3), np.bool_), np.ones(3, np.bool_), np.ones((2, 3))):
        with pytest.raises(ValueError, match="retrained_outputs: subsets have shape"):
            retrained_outputs(train, evaluate, masks)
    with pytest.raises(ValueError, match="seeds is 0"):
        retrained_outputs(train, evaluate, MASKS, 0)
    with pytest.raises(ValueError, match="1 entries that are not finite for subset 0"):
        retrained_outputs(train, lambda model: [model, np.nan], MASKS)
    with pytest.raises(ValueError, match=r"evaluate gave shape \(\)"):
        retrained_outputs(train, lambda model: model, MASKS)
    with pytest.raises(ValueError, match="14 numbers for subset 1 and 3 for the first"):
        retrained_outputs(train, lambda model: [1.0] * int(model), MASKS)
    with pytest.raises(ValueError, match="left_out has shape"):
        leave_one_out(train, evaluate, 4, [4])
    for n, fraction in ((4, 0.0), (4, 1.0), (1, 0.5)):
        with pytest.raises(ValueError, match="datamodel_subsets: n is"):
            datamodel_subsets(n, 3, fraction)

"""Scoring: one thread, no autograd, eval mode, and rows that do not know their neighbours."""

import numpy as np
import pytest
import torch
from torch import nn

from genmem.models import require_eval, scoring, single_thread
from genmem.models.scoring import in_fixed_batches


def denormal_survives() -> bool:
    return bool(float(torch.tensor([1e-310], dtype=torch.float64) * 1.0))


@pytest.mark.parametrize("flushing", [False, True])
def test_single_thread_puts_the_settings_back(flushing: bool) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    torch.set_flush_denormal(flushing)
    try:
        with single_thread():
            assert torch.get_num_threads() == 1
            assert not denormal_survives()
        assert torch.get_num_threads() == 2
        assert denormal_survives() is not flushing
        with pytest.raises(KeyError), single_thread():
            raise KeyError
        assert torch.get_num_threads() == 2
        assert denormal_survives() is not flushing
    finally:
        torch.set_flush_denormal(False)
        torch.set_num_threads(threads)


def test_batch_norm_in_train_mode_is_named() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.BatchNorm1d(2)))
    with pytest.raises(ValueError, match=r"trace: module '1.0' \(BatchNorm1d\) is in train mode"):
        require_eval(model, "trace")
    model.eval()
    require_eval(model, "trace")
    model[1][0].train()
    with pytest.raises(ValueError, match=r"call model.eval\(\) first"), scoring(model, "trace"):
        pass


def test_dropout_in_train_mode_is_named_and_other_modules_are_not() -> None:
    with pytest.raises(ValueError, match="Dropout"):
        require_eval(nn.Sequential(nn.Dropout(0.1)), "trace")
    require_eval(nn.Sequential(nn.Linear(2, 2), nn.ReLU()), "trace")


def test_scoring_records_no_gradient() -> None:
    layer = nn.Linear(2, 2)
    with scoring(layer, "trace"):
        assert not layer(torch.rand(1, 2)).requires_grad


@pytest.mark.parametrize("count", [1, 2, 15, 16, 17, 100])
def test_rows_in_fixed_batches_do_not_know_their_neighbours(count: int) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(300, 50)
    rows = torch.rand(100, 300)
    with scoring(layer, "trace"):
        whole = in_fixed_batches(layer, rows, 16)
        part = in_fixed_batches(layer, rows[:count], 16)
        last = in_fixed_batches(layer, rows[100 - count :], 16)
    assert part.shape == (count, 50)
    assert torch.equal(part, whole[:count])
    assert torch.equal(last, whole[100 - count :])


def test_fixed_batches_have_their_size() -> None:
    sizes = []

    def double(batch: torch.Tensor) -> torch.Tensor:
        sizes.append(len(batch))
        return 2 * batch

    got = in_fixed_batches(double, torch.arange(7.0)[:, None], 3)
    assert sizes == [3, 3, 3]
    assert np.array_equal(got.numpy()[:, 0], 2 * np.arange(7.0))
    assert in_fixed_batches(double, torch.empty(0, 1), 3).shape == (0, 1)

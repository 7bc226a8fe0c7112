import numpy as np
import pytest

from genmem.memorization.tables import ArrayTable
from genmem.studies import course as module
from genmem.studies.course import course


@pytest.mark.parametrize("rows_at_once", [3, 4096])
def test_means_equal_plain_loops(rows_at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ROWS_AT_ONCE", rows_at_once)
    random = np.random.default_rng(0)
    epochs, repeats, folds, count = 2, 3, 4, 10
    values = random.normal(size=(epochs, repeats, folds, count))
    held_out = np.stack([random.permutation(count) % folds for _ in range(repeats)])
    got = course(ArrayTable(values, held_out, np.array([5, 9])))
    assert got["epoch"].tolist() == [5, 9]
    for e in range(epochs):
        seen, unseen = [], []
        for r in range(repeats):
            for k in range(folds):
                for i in range(count):
                    (unseen if held_out[r, i] == k else seen).append(-values[e, r, k, i])
        assert len(unseen) == repeats * count
        assert abs(got["train_loss"][e] - np.mean(seen)) <= 1e-12
        assert abs(got["heldout_loss"][e] - np.mean(unseen)) <= 1e-12

"""Models on a card: the processor's numbers but for rounding, and the same bits every time.

Needs a card that torch sees, whether genmem was built for one or not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from genmem.datasets import Dataset

torch = pytest.importorskip("torch")

SGD = {"optimizer": "sgd", "momentum": 0.9, "lr": 1e-3}
KINDS: dict[str, dict[str, Any]] = {
    "mlp": {"hidden": (64,), "binarize": "threshold", **SGD},
    "convolutions, batch norm": {
        "model": "dcvae",
        "hidden": (8, 16),
        "binarize": "threshold",
        **SGD,
    },
    "learned variance": {"hidden": (32,), "likelihood": "constant-gaussian", **SGD},
    "conditional": {"hidden": (32,), "conditional": True, "binarize": "threshold", **SGD},
    "adam": {"hidden": (64,), "binarize": "threshold"},
}


@pytest.fixture(autouse=True)
def card() -> None:
    if not torch.cuda.is_available():
        pytest.skip("torch sees no CUDA device")


@pytest.fixture
def data() -> Dataset:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 60, (300, 1, 16, 16), dtype=np.uint8)
    for i, (row, column) in enumerate(rng.integers(0, 13, (300, 2))):
        x[i, 0, row : row + 4, column : column + 4] += 190
    return Dataset("squares", x, y=np.arange(300) % 3)


def recipe(kind: str, **asked: Any) -> Any:
    from genmem.training import Recipe

    return Recipe(latent=4, batch=64, eval_draws=16, seed=3).replace(**KINDS[kind], **asked)


def distance(a: dict[str, Any], b: dict[str, Any]) -> float:
    """|a - b| / |a| over all weights."""
    there = {name: value.double() for name, value in b.items()}
    gaps = [(value.double() - there[name]).square().sum() for name, value in a.items()]
    return float((sum(gaps) / sum(value.double().square().sum() for value in a.values())) ** 0.5)


@pytest.mark.parametrize("kind", KINDS)
def test_one_epoch(data: Dataset, kind: str) -> None:
    """Adam divides a gradient by its own size: what rounding alone makes of it counts like more."""
    from genmem.training import train

    here, there = (train(recipe(kind, epochs=1), data, device=one) for one in ("cpu", "cuda"))
    bound = 1e-4 if kind == "adam" else 1e-5
    assert distance(here.checkpoints[0].state(), there.checkpoints[0].state()) <= bound
    np.testing.assert_allclose(there.history["train_loss"], here.history["train_loss"], rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_log_p_of_one_model(data: Dataset, kind: str) -> None:
    from genmem.training import train

    run = train(recipe(kind, epochs=2), data, device="cpu")
    here, there = (run.log_prob(data, device=one) for one in ("cpu", "cuda"))
    np.testing.assert_allclose(there.log_p, here.log_p, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(there.ess, here.ess, rtol=1e-2)
    pictures = [run.sample(9, device=one) for one in ("cpu", "cuda")]
    np.testing.assert_allclose(*pictures, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_scores_of_one_model(data: Dataset, kind: str) -> None:
    """To 1e-4 of the norms of both gradients."""
    from genmem.influence import TracIn
    from genmem.training import train

    run = train(recipe(kind, epochs=3, checkpoints=(1,)), data, device="cpu")
    test, found, own = data.take(np.arange(20)), [], []
    for device in ("cpu", "cuda"):
        tracin = TracIn(run, draws=4, device=device)
        found.append(tracin.influence(test, data))
        own.append(tracin.self_influence(data))
    norms: npt.NDArray[np.float64] = np.sqrt(np.outer(own[0][:20], own[0]))
    assert (np.abs(found[1] - found[0]) <= 1e-4 * norms).all()
    np.testing.assert_allclose(own[1], own[0], rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_card_gives_the_same_bits_again(data: Dataset, kind: str, tmp_path: Path) -> None:
    """Trained once, and cut short and resumed; the switches of the caller do not count."""
    from genmem.training import train

    asked = recipe(kind, epochs=4, checkpoints=(2,))

    def stop(stage: str, epoch: int, of: int) -> None:
        if epoch == 3:
            raise KeyboardInterrupt

    whole = train(asked, data, device="cuda")
    with pytest.raises(KeyboardInterrupt):
        train(asked, data, tmp_path, progress=stop, device="cuda")
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        resumed = train(asked, data, tmp_path, device="cuda")
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)
    state = resumed.checkpoints[-1].state()
    for name, value in whole.checkpoints[-1].state().items():
        assert torch.equal(value, state[name]), name


def test_auto_is_the_card(data: Dataset) -> None:
    from genmem.influence import TracIn
    from genmem.training import train

    places: list[str] = []
    run = train(
        recipe("mlp", epochs=1),
        data,
        on_checkpoint=lambda model, epoch: places.append(next(model.parameters()).device.type),
    )
    assert places == ["cuda"]
    assert next(run.model().parameters()).device.type == "cpu"
    assert TracIn(run, draws=2).self_influence(data.take(np.arange(9))).shape == (9,)

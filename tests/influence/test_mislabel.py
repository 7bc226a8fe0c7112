"""Detection curves, the area of Kong & Chaudhuri (2021) and the ROC AUC; mislabeled digits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from genmem.influence import TracIn, detection
from influence.traps import randn


def test_golden_ranks() -> None:
    """Ten samples, the extras at ranks 1, 3, 4."""
    found = detection(-np.arange(10.0), [0, 2, 3])
    np.testing.assert_allclose(found.area, 0.833333333333, rtol=1e-12)
    np.testing.assert_allclose(found.auc, 0.904761904762, rtol=1e-12)
    np.testing.assert_allclose([found.area_best, found.area_chance], [0.9, 0.55], rtol=1e-14)
    np.testing.assert_allclose(found.curve * 3, [1, 1, 2, 3, 3, 3, 3, 3, 3, 3], rtol=1e-14)
    np.testing.assert_array_equal(found.order, np.arange(10))


def test_extremes() -> None:
    flagged = np.arange(10) < 3
    best, worst = detection(-np.arange(10.0), flagged), detection(np.arange(10.0), flagged)
    assert (best.auc, worst.auc) == (1.0, pytest.approx(0.0, abs=1e-15))
    assert best.area == pytest.approx(best.area_best, rel=1e-14)
    tied = detection(np.zeros(10), flagged)
    assert tied.auc == pytest.approx(0.5, rel=1e-14)
    assert tied.area == pytest.approx(tied.area_chance, rel=1e-14)
    np.testing.assert_allclose(tied.curve, np.arange(1, 11) / 10, rtol=1e-14)


@settings(deadline=None, max_examples=100)
@given(
    scores=st.lists(st.integers(-3, 3), min_size=2, max_size=30),
    data=st.data(),
)
def test_area_auc_and_curve_agree_under_ties(scores: list[int], data: st.DataObject) -> None:
    n = data.draw(st.integers(1, len(scores) - 1))
    flagged = np.array(data.draw(st.permutations([True] * n + [False] * (len(scores) - n))))
    found = detection(scores, flagged)
    assert found.area == pytest.approx(found.curve.mean(), rel=1e-12)
    assert found.auc == pytest.approx(roc_auc_score(flagged, scores), rel=1e-12, abs=1e-12)
    assert found.curve[-1] == pytest.approx(1.0, rel=1e-12)


def test_what_cannot_be_ranked_is_refused() -> None:
    for flags in ([False] * 3, [True] * 3, [True, False], [3], [-1], [0.5, 0.1, 0.2]):
        with pytest.raises(ValueError, match="detection: "):
            detection([1.0, 2.0, 3.0], flags)
    with pytest.raises(ValueError, match="1 entries that are not finite"):
        detection([1.0, np.nan, 3.0], [0])


def cross_entropy(model: nn.Module, batch: tuple[Tensor, Tensor], noise: None) -> Tensor:
    x, y = batch
    return nn.functional.cross_entropy(model(x), y, reduction="none")


def test_mislabeled_samples_of_a_classifier_have_large_self_influence() -> None:
    generator = torch.Generator().manual_seed(0)
    centres = 2 * torch.randn(4, 6, generator=generator)
    y = torch.arange(200) % 4
    x = centres[y] + torch.randn(200, 6, generator=generator)
    wrong = torch.arange(0, 200, 10)
    y[wrong] = (y[wrong] + 1) % 4
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 4))
    optimizer, checkpoints = torch.optim.SGD(model.parameters(), lr=0.2), []
    for step in range(60):
        optimizer.zero_grad()
        torch.autograd.backward(cross_entropy(model, (x, y), None).mean())
        optimizer.step()
        if step % 20 == 19:
            state = {name: value.clone() for name, value in model.state_dict().items()}
            checkpoints.append(
                {"state_dict": state, "lr": 0.2, "step": step + 1, "batch": 200, "rows": 200}
            )
    own = TracIn(checkpoints, cross_entropy, model=model).self_influence((x, y))
    found = detection(own, wrong.numpy())
    assert found.auc > 0.95
    assert found.area_chance < found.area < found.area_best


class ConditionalVAE(nn.Module):
    """Encoder and decoder both read the label: a mislabeled picture is unlikely under its label."""

    latent = 2

    def __init__(self) -> None:
        super().__init__()
        self.label = nn.Embedding(4, 3)
        self.encoder, self.decoder = nn.Linear(6 + 3, 4), nn.Linear(2 + 3, 6)


def conditional_elbo(model: ConditionalVAE, batch: tuple[Tensor, Tensor], noise: Tensor) -> Tensor:
    x, y = batch
    code = model.label(y)
    mu, logvar = model.encoder(torch.cat([x, code], 1)).chunk(2, 1)
    z = mu[:, None] + torch.exp(0.5 * logvar)[:, None] * noise
    seen = torch.cat([z, code[:, None].expand(-1, noise.shape[1], -1)], 2)
    error = 0.5 * (model.decoder(seen) - x[:, None]).square().sum(2).mean(1)
    return error + 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum(1)


def test_a_conditional_autoencoder_is_traced_with_its_labels(oracle: object) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = ConditionalVAE().double()
    batch = (randn(8, 6), torch.arange(8) % 4)
    traced = TracIn([model.state_dict()], conditional_elbo, model=model, weights=[1.0], draws=4)
    from influence.small_net import noise_of

    noise = noise_of("tracin train", np.arange(8))
    truth = oracle(model, conditional_elbo, batch, noise)
    np.testing.assert_allclose(traced.self_influence(batch), (truth**2).sum(1), rtol=1e-9)

"""The captum-shaped door: captum's own answers where it is right, and what it does not do."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from genmem.influence.tasks import KMostInfluentialResults, TracInCP
from influence.traps import randn

N, Q, RATES = 11, 4, (0.3, 0.1)


class Net(nn.Module):
    """Layers that captum's fast path drops, so that its slow path is the rival."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 4, 3, padding=1), nn.GroupNorm(2, 4)
        self.up, self.out = nn.ConvTranspose2d(4, 2, 2, 2), nn.Linear(2, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(self.up(torch.tanh(self.norm(self.conv(x)))))
        return self.out(h.mean((2, 3)))


def model() -> Net:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return Net().eval()


def data(n: int, seed: int) -> tuple[Tensor, Tensor]:
    return randn(n, 1, 4, 4, seed=seed).float(), torch.arange(n) % 3


@pytest.fixture
def checkpoints(tmp_path: Path) -> list[str]:
    net, paths = model(), []
    for c, rate in enumerate(RATES):
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.mul_(1.5)
        path = tmp_path / f"{c}.pt"
        torch.save({"model_state_dict": net.state_dict(), "learning_rate": rate}, path)
        paths.append(str(path))
    return paths


def load(net: nn.Module, path: str) -> float:
    held = torch.load(path, weights_only=True)
    net.load_state_dict(held["model_state_dict"])
    return held["learning_rate"]


def both(checkpoints: Any, **options: Any) -> tuple[Any, TracInCP]:
    captum = pytest.importorskip("captum.influence")
    arguments = {"loss_fn": nn.CrossEntropyLoss(reduction="none"), "batch_size": 4} | options
    train = TensorDataset(*data(N, 0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # captum warns of reductions it cannot see
        rival = captum.TracInCP(model(), train, checkpoints, load, **arguments)
    return rival, TracInCP(model(), train, checkpoints, load, **arguments)


def close(got: Tensor, want: Tensor) -> None:
    assert got.dtype == want.dtype
    assert got.shape == want.shape
    assert (got - want).abs().max() <= 2e-5 * want.abs().max()


@pytest.mark.parametrize("source", ["tuple", "loader"])
def test_scores_are_those_of_captum(checkpoints: list[str], source: str) -> None:
    rival, ours = both(checkpoints)
    inputs: Any = data(Q, 5)
    if source == "loader":
        inputs = DataLoader(TensorDataset(*inputs), batch_size=3)
    close(ours.influence(inputs), rival.influence(inputs))
    close(ours.influence(inputs, aggregate=True), rival.influence(inputs, aggregate=True))
    close(ours.self_influence(), rival.self_influence())
    close(ours.self_influence(inputs), rival.self_influence(inputs))


@pytest.mark.parametrize("proponents", [True, False])
def test_the_k_strongest_are_those_of_captum(checkpoints: list[str], proponents: bool) -> None:
    rival, ours = both(checkpoints)
    for aggregate in (False, True):
        options = {"k": 3, "proponents": proponents, "aggregate": aggregate}
        got, want = ours.influence(data(Q, 5), **options), rival.influence(data(Q, 5), **options)
        assert isinstance(got, KMostInfluentialResults)
        assert got.indices.dtype == want.indices.dtype
        assert torch.equal(got.indices, want.indices)
        close(got.influence_scores, want.influence_scores)


def test_layers_and_a_loss_of_test_samples(checkpoints: list[str]) -> None:
    def logit(output: Tensor, labels: Tensor) -> Tensor:
        return output.gather(1, labels[:, None])[:, 0]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rival, ours = both(checkpoints, test_loss_fn=logit)
        close(ours.influence(data(Q, 5)), rival.influence(data(Q, 5)))
        rival, ours = both(checkpoints, layers=["conv", "out"])
        close(ours.influence(data(Q, 5)), rival.influence(data(Q, 5)))
    assert all(p.requires_grad for p in ours.model.parameters())
    with pytest.raises(ValueError, match=r"no parameter or layer 'head'; one of conv\.weight"):
        TracInCP(
            model(), TensorDataset(*data(N, 0)), checkpoints, load, ["head"], nn.CrossEntropyLoss()
        ).influence(data(Q, 5))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("kind", [nn.CrossEntropyLoss, nn.MSELoss])
def test_a_reduction_is_the_loss_of_a_sample_alone(
    checkpoints: list[str], kind: type[nn.Module], reduction: str
) -> None:
    x, y = data(N, 0)
    labels: Tensor = y if kind is nn.CrossEntropyLoss else randn(N, 3, seed=3).float()
    train = TensorDataset(x, labels)

    def alone(output: Tensor, labels: Tensor) -> Tensor:
        rows = range(len(output))
        return torch.stack([kind(reduction=reduction)(output[[i]], labels[[i]]) for i in rows])

    got = TracInCP(model(), train, checkpoints, load, loss_fn=kind(reduction=reduction))
    want = TracInCP(model(), train, checkpoints, load, loss_fn=alone)
    function = TracInCP(
        model(), train, checkpoints, load, loss_fn=lambda o, y: kind(reduction=reduction)(o, y)
    )
    close(got.self_influence(), want.self_influence())
    close(function.self_influence(), want.self_influence())


def test_class_weights_are_divided_out_as_the_mean_does(checkpoints: list[str]) -> None:
    train, weight = TensorDataset(*data(N, 0)), torch.tensor([1.0, 5.0, 0.2])
    options = {"loss_fn": nn.CrossEntropyLoss(weight=weight)}
    plain = TracInCP(model(), train, checkpoints, load, loss_fn=nn.CrossEntropyLoss())
    close(
        TracInCP(model(), train, checkpoints, load, **options).self_influence(),
        plain.self_influence(),
    )


def test_a_model_that_gives_its_loss(checkpoints: list[str]) -> None:
    class Losing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Linear(3, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.net(x)

    net, x, ignored = Losing(), randn(5, 3).float(), torch.zeros(5)
    got = TracInCP(net, TensorDataset(x, ignored), [net.state_dict()]).self_influence()
    np.testing.assert_allclose(got, x.square().sum(1) + 1, rtol=1e-5)


def test_the_default_loads_directories_and_rates(checkpoints: list[str], tmp_path: Path) -> None:
    train = TensorDataset(*data(N, 0))
    want = TracInCP(model(), train, checkpoints, load, loss_fn=nn.CrossEntropyLoss())
    got = TracInCP(model(), train, str(tmp_path), loss_fn=nn.CrossEntropyLoss())
    assert got.checkpoints == checkpoints
    assert torch.equal(got.self_influence(), want.self_influence())
    with pytest.raises(FileNotFoundError, match="which is no directory"):
        TracInCP(model(), train, str(tmp_path / "none"), loss_fn=nn.CrossEntropyLoss())


def test_each_checkpoint_is_loaded_once_and_the_model_left_as_it_was(
    checkpoints: list[str],
) -> None:
    calls: list[str] = []

    def counting(net: nn.Module, path: str) -> float:
        calls.append(path)
        return load(net, path)

    net = model()
    held = {name: value.clone() for name, value in net.state_dict().items()}
    options = {"loss_fn": nn.CrossEntropyLoss(), "batch_size": 2}
    door = TracInCP(net, TensorDataset(*data(N, 0)), checkpoints, counting, **options)
    door.influence(data(Q, 5))
    assert calls == checkpoints
    assert all(torch.equal(value, held[name]) for name, value in net.state_dict().items())


def test_draws_that_are_data() -> None:
    """A variational autoencoder whose noise lies in the data set beside the picture."""

    class VAE(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder, self.decoder = nn.Linear(6, 4), nn.Linear(2, 6)

        def forward(self, x: Tensor, eps: Tensor) -> tuple[Tensor, Tensor]:
            mu, logvar = self.encoder(x).chunk(2, 1)
            z = mu[:, None] + torch.exp(0.5 * logvar)[:, None] * eps
            kl = 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum(1)
            return torch.cat([self.decoder(z).flatten(1), kl[:, None]], 1)

    def elbo(output: Tensor, x: Tensor) -> Tensor:
        seen = output[:, :-1].unflatten(1, (-1, x.shape[1]))
        return 0.5 * (seen - x[:, None]).square().sum(2).mean(1) + output[:, -1]

    captum = pytest.importorskip("captum.influence")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = VAE()
    x, eps = randn(7, 6).float(), randn(7, 4, 2, seed=1).float()
    train, places = TensorDataset(x, eps, x), [net.state_dict()]

    def function(net: nn.Module, state: dict[str, Tensor]) -> float:
        net.load_state_dict(state)
        return 0.5

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rival = captum.TracInCP(net, train, places, function, loss_fn=elbo, batch_size=7)
    ours = TracInCP(net, train, places, function, loss_fn=elbo)
    close(ours.influence((x, eps, x)), rival.influence((x, eps, x)))


def test_loaders_that_shuffle_are_refused(checkpoints: list[str]) -> None:
    loader = DataLoader(TensorDataset(*data(N, 0)), batch_size=4, shuffle=True)
    door = TracInCP(model(), loader, checkpoints, load, loss_fn=nn.CrossEntropyLoss())
    with pytest.raises(ValueError, match="train is a DataLoader with a RandomSampler"):
        door.self_influence()


def test_progress_is_told(checkpoints: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    door = TracInCP(
        model(), TensorDataset(*data(N, 0)), checkpoints, load, loss_fn=nn.CrossEntropyLoss()
    )
    door.influence(data(Q, 5), show_progress=True)
    assert capsys.readouterr().out.endswith("influence: 100%\n")


class Pairs(Dataset[Any]):
    """Items that are made when asked for."""

    def __len__(self) -> int:
        return N

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        x, y = data(N, 0)
        return x[i], int(y[i])


def test_map_style_data_sets_are_collated(checkpoints: list[str]) -> None:
    options = {"loss_fn": nn.CrossEntropyLoss()}
    got = TracInCP(model(), Pairs(), checkpoints, load, **options).self_influence()
    want = TracInCP(model(), TensorDataset(*data(N, 0)), checkpoints, load, **options)
    assert torch.equal(got, want.self_influence())
    loader = DataLoader(Pairs(), batch_size=4, drop_last=True)
    got = TracInCP(model(), loader, checkpoints, load, **options).self_influence()
    assert got.shape == (8,)

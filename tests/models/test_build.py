"""Families of models: parameter counts as published, shapes, seeds, refusals."""

import threading
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from genmem.models import LIKELIHOODS, MODELS, VAE, build


@dataclass(frozen=True)
class Architecture:
    model: str = "mlp-vae"
    latent: int = 4
    hidden: tuple[int, ...] | None = None
    likelihood: str = "bernoulli"
    seed: int = 0


def parameters(model: VAE) -> int:
    return sum(p.numel() for p in model.parameters())


def same(a: VAE, b: VAE) -> bool:
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


def test_parameter_counts_of_the_published_models() -> None:
    assert parameters(build(Architecture("beta-vae", 64), (3, 64, 64))) == 806_915
    assert parameters(build(Architecture("mlp-vae-a", 128), (1, 28, 28))) == 3_019_280
    mlp = 784 * 512 + 512 + 512 * 256 + 256 + 256 * 32 + 32
    mirror = 16 * 256 + 256 + 256 * 512 + 512 + 512 * 784 + 784
    assert parameters(build(Architecture("mlp-vae", 16), (1, 28, 28))) == mlp + mirror


def test_dcvae_has_the_published_layers() -> None:
    """Convolutions of F, 2F, 4F, 8F channels without bias; batch norm after all but the first."""
    model = build(Architecture("dcvae", 64, likelihood="gaussian-logit"), (3, 32, 32))
    f, z = 32, 64
    encoder = 16 * (3 * f + 2 * f * f + 8 * f * f + 32 * f * f) + 2 * (2 + 4 + 8) * f
    head = (8 * f * 4 + 1) * 2 * z
    decoder = 4 * z * 8 * f + 16 * (32 * f * f + 8 * f * f + 2 * f * f + 6 * f) + 2 * 15 * f
    assert parameters(model) == encoder + head + decoder
    assert not isinstance(model.encoder[1], nn.BatchNorm2d)


@pytest.mark.parametrize("name", MODELS)
def test_batch_norm_stands_in_dcvae_alone(name: str) -> None:
    model = build(Architecture(name), (1, 16, 16))
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    assert bool(norms) == (name == "dcvae")
    assert not any(getattr(m, "inplace", False) for m in model.modules())


SLIM = {"mlp-vae": (8,), "mlp-vae-a": (8, 6), "dcvae": (4, 8), "beta-vae": (4, 8, 16)}


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (2, 12, 20)], ids=str)
def test_shapes(name: str, shape: tuple[int, ...], likelihood: str) -> None:
    model = build(Architecture(name, 3, SLIM[name], likelihood), shape).eval()
    x, noise = torch.rand(5, *shape), torch.randn(5, 2, 3)
    mu, logvar = model.encode(x)
    assert mu.shape == logvar.shape == (5, 3)
    z = model.reparameterise(mu, logvar, noise)
    assert z.shape == (5, 2, 3)
    d = x[0].numel()
    assert model.decode(z).shape == (5, 2, model.likelihood.per_value * d)
    log_p = model.log_likelihood(x, z)
    assert log_p.shape == (5, 2)
    assert torch.isfinite(log_p).all()
    assert model.mean(z[:, 0]).shape == (5, *shape)


def test_vectors_and_a_model_without_hidden_layers() -> None:
    model = build(Architecture(latent=2, hidden=()), (7,))
    assert parameters(model) == (7 * 4 + 4) + (2 * 7 + 7)
    assert model.log_likelihood(torch.rand(3, 7), torch.randn(3, 1, 2)).shape == (3, 1)


@pytest.mark.parametrize(
    ("side", "channels"), [(8, [32, 64]), (28, [32, 64]), (32, [32, 64, 128, 256])]
)
def test_smaller_images_use_the_first_stages(side: int, channels: list[int]) -> None:
    model = build(Architecture("dcvae"), (1, side, side))
    assert [m.out_channels for m in model.encoder if isinstance(m, nn.Conv2d)] == channels
    assert model.eval().mean(torch.zeros(1, 4)).shape == (1, 1, side, side)


def test_chosen_widths() -> None:
    model = build(Architecture("dcvae", hidden=(6, 10)), (1, 8, 8))
    assert [m.out_channels for m in model.encoder if isinstance(m, nn.Conv2d)] == [6, 10]
    model = build(Architecture("beta-vae", hidden=(6, 10, 20)), (1, 8, 8))
    assert [m.out_channels for m in model.encoder if isinstance(m, nn.Conv2d)] == [6, 10, 20]


@pytest.mark.parametrize("name", ["dcvae", "beta-vae"])
def test_refused_shapes(name: str) -> None:
    with pytest.raises(ValueError, match="27 x 28 can be halved 0 times"):
        build(Architecture(name), (1, 27, 28))
    with pytest.raises(ValueError, match=r"2 x 2 can be halved 0 times down to no less than 2"):
        build(Architecture(name), (1, 2, 2))
    with pytest.raises(ValueError, match=r"samples have shape \(64,\)"):
        build(Architecture(name), (64,))
    with pytest.raises(ValueError, match=r"28 x 28 can be halved 2 times.*wants sides.*3 times"):
        build(Architecture(name, hidden=(4, 4, 4, 4)[: 3 + (name == "beta-vae")]), (1, 28, 28))


def test_refused_names() -> None:
    with pytest.raises(ValueError, match=r"model is 'gan'.*mlp-vae"):
        build(Architecture("gan"), (4,))
    with pytest.raises(ValueError, match=r"likelihood is 'poisson'.*bernoulli"):
        build(Architecture(likelihood="poisson"), (4,))
    with pytest.raises(ValueError, match="hold no value"):
        build(Architecture(), (1, 0, 8))


def test_first_weights_are_those_of_the_seed() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = build(Architecture(seed=1), (8,))
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    assert same(first, build(Architecture(seed=1), (8,)))
    assert not same(first, build(Architecture(seed=2), (8,)))


def test_models_built_in_several_threads_are_the_same() -> None:
    want = build(Architecture(), (1, 16, 16))
    built: list[VAE] = []
    threads = [
        threading.Thread(target=lambda: built.append(build(Architecture(), (1, 16, 16))))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 8
    assert all(same(model, want) for model in built)


def test_first_weights_do_not_follow_the_default_device() -> None:
    recipe = Architecture(hidden=(5,))
    want = build(recipe, (4,)).state_dict()
    with torch.device("meta"):
        found = build(recipe, (4,)).state_dict()
    assert all(torch.equal(found[name], value) for name, value in want.items())

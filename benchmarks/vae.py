"""The models of the attribution benchmarks: VAEs whose noise is data, so that all contenders trace
the same loss, trained for a moment on images, so that gradients are those of a model in use."""

import functools

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from problems import images

LATENT = 32
STEPS = 200  # of Adam, 128 images each
Samples = tuple[Tensor, Tensor]  # x (n, ...), noise (n, m, 32)


class MLP(nn.Module):
    """784-512-256-(2 x 32)-256-512-784, 1,091,920 parameters; forward gives one loss per sample."""

    shape: tuple[int, ...] = (784,)

    def __init__(self) -> None:
        super().__init__()
        self.e1, self.e2 = nn.Linear(784, 512), nn.Linear(512, 256)
        self.e3 = nn.Linear(256, 2 * LATENT)
        self.d1, self.d2, self.d3 = nn.Linear(LATENT, 256), nn.Linear(256, 512), nn.Linear(512, 784)

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        """x (..., 784) and noise (..., m, 32) to losses (...): the encoder runs once."""
        hidden = functional.relu(self.e2(functional.relu(self.e1(x))))
        z, kl = drawn(self.e3(hidden), noise)
        logits = self.d3(functional.relu(self.d2(functional.relu(self.d1(z)))))
        return reconstruction(logits, x) + kl


class Convolutional(nn.Module):
    """Strides of 2 down to 64 x 7 x 7 and, by transposed convolutions, up again: 370,017
    parameters. Draws are more samples to its decoder: a convolution has no axis for them."""

    shape: tuple[int, ...] = (1, 28, 28)

    def __init__(self) -> None:
        super().__init__()
        self.c1, self.c2 = nn.Conv2d(1, 32, 4, 2, 1), nn.Conv2d(32, 64, 4, 2, 1)
        self.e = nn.Linear(3136, 2 * LATENT)
        self.d = nn.Linear(LATENT, 3136)
        self.t1 = nn.ConvTranspose2d(64, 32, 4, 2, 1)
        self.t2 = nn.ConvTranspose2d(32, 1, 4, 2, 1)

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        """x (..., 1, 28, 28) and noise (..., m, 32) to losses (...)."""
        hidden = functional.relu(self.c2(functional.relu(self.c1(x))))
        z, kl = drawn(self.e(hidden.flatten(-3)), noise)
        grown = functional.relu(self.d(z)).reshape(-1, 64, 7, 7)
        logits = self.t2(functional.relu(self.t1(grown)))
        return reconstruction(logits.reshape(*z.shape[:-1], 784), x.flatten(-3)) + kl


def drawn(encoded: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Draws z (..., m, 32) and the divergence (...)."""
    mu, logvar = encoded.split(LATENT, -1)
    z = mu[..., None, :] + (0.5 * logvar).exp()[..., None, :] * noise
    return z, -0.5 * (1 + logvar - mu.pow(2) - logvar.exp()).sum(-1)


def reconstruction(logits: Tensor, x: Tensor) -> Tensor:
    target = x[..., None, :].expand_as(logits)
    bce = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return bce.sum(-1).mean(-1)


MODELS = {"MLP VAE": MLP, "conv VAE": Convolutional}


@functools.cache
def trained(kind: str) -> nn.Module:
    """After STEPS of Adam, in eval mode."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = MODELS[kind]()
        x = torch.from_numpy(images().points[: 128 * STEPS]).view(-1, 128, *model.shape)
        optimizer = torch.optim.Adam(model.parameters(), 1e-3)
        for batch in x:
            optimizer.zero_grad()
            model(batch, torch.randn(128, 1, LATENT)).mean().backward()
            optimizer.step()
        optimizer.zero_grad()
    return model.eval()


@functools.cache
def problem(kind: str, n: int, q: int, draws: int) -> tuple[nn.Module, Samples, Samples]:
    """The model, n training and q test samples with noise; a quarter of the tests are copies."""
    model, whole = trained(kind), images()
    rng = np.random.default_rng(0)
    x = np.concatenate([whole.points[:n], np.resize(whole.queries[::3], (q, whole.d))])
    noise = rng.standard_normal((n + q, draws, LATENT), np.float32)
    copies = q // 4
    x[n : n + copies], noise[n : n + copies] = x[:copies], noise[:copies]
    images_, draws_ = torch.from_numpy(x).view(-1, *model.shape), torch.from_numpy(noise)
    return model, (images_[:n], draws_[:n]), (images_[n:], draws_[n:])


def loss(model: nn.Module, batch: Samples, noise: None) -> Tensor:
    """As genmem wants it; the noise is part of the batch."""
    return model(*batch)


def first(samples: Samples, count: int) -> Samples:
    return samples[0][:count], samples[1][:count]


def gradients(model: nn.Module, samples: Samples, rows: range) -> Tensor:
    """The oracle: float64 gradients, one sample at a time, (len(rows), P)."""
    exact = type(model)().double()
    exact.load_state_dict(model.state_dict())
    out = []
    for i in rows:
        loss = exact(samples[0][i].double(), samples[1][i].double())
        parts = torch.autograd.grad(loss, list(exact.parameters()))
        out.append(torch.cat([g.flatten() for g in parts]))
    return torch.stack(out)


class Oracle:
    """Exact products of a sub-block: 8 tests by 16 training samples."""

    def __init__(self, model: nn.Module, train: Samples, test: Samples) -> None:
        a, b = gradients(model, test, range(8)), gradients(model, train, range(16))
        self.products = (a @ b.T).numpy()
        self.norms = (a.norm(dim=1)[:, None] * b.norm(dim=1)).numpy()
        self.squares = b.square().sum(1).numpy()

    def error(self, products: np.ndarray) -> float:
        """Worst |K - K_exact| / (|g_i| |g_j|)."""
        got = products[:8, :16].astype(np.float64)
        return float((np.abs(got - self.products) / self.norms).max())

    def self_error(self, scores: np.ndarray) -> float:
        """Worst relative error of a squared norm."""
        got = scores[:16].astype(np.float64)
        return float((np.abs(got - self.squares) / self.squares).max())

"""The model of the attribution benchmarks: an MLP VAE whose noise is data, so that all contenders
trace the same loss."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

LATENT = 32


class VAE(nn.Module):
    """784-512-256-(2 x 32)-256-512-784, 1,091,920 parameters; forward gives one loss per sample."""

    def __init__(self) -> None:
        super().__init__()
        self.e1, self.e2 = nn.Linear(784, 512), nn.Linear(512, 256)
        self.e3 = nn.Linear(256, 2 * LATENT)
        self.d1, self.d2, self.d3 = nn.Linear(LATENT, 256), nn.Linear(256, 512), nn.Linear(512, 784)

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        """x (..., 784) and noise (..., m, 32) to losses (...): the encoder runs once."""
        hidden = functional.relu(self.e2(functional.relu(self.e1(x))))
        mu, logvar = self.e3(hidden).split(LATENT, -1)
        z = mu[..., None, :] + (0.5 * logvar).exp()[..., None, :] * noise
        logits = self.d3(functional.relu(self.d2(functional.relu(self.d1(z)))))
        target = x[..., None, :].expand_as(logits)
        bce = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
        kl = -0.5 * (1 + logvar - mu.pow(2) - logvar.exp()).sum(-1)
        return bce.sum(-1).mean(-1) + kl


def problem(n: int, q: int, draws: int) -> tuple[VAE, tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """The model, N training and Q test samples with noise; a quarter of the tests are copies."""
    torch.manual_seed(0)
    model = VAE().eval()
    x, noise = torch.rand(n + q, 784), torch.randn(n + q, draws, LATENT)
    copies = q // 4
    x[n : n + copies], noise[n : n + copies] = x[:copies], noise[:copies]
    return model, (x[:n], noise[:n]), (x[n:], noise[n:])


def gradients(model: VAE, samples: tuple[Tensor, Tensor], rows: range) -> Tensor:
    """The oracle: float64 gradients, one sample at a time, (len(rows), P)."""
    exact = VAE().double()
    exact.load_state_dict(model.state_dict())
    out = []
    for i in rows:
        loss = exact(samples[0][i].double(), samples[1][i].double())
        parts = torch.autograd.grad(loss, list(exact.parameters()))
        out.append(torch.cat([g.flatten() for g in parts]))
    return torch.stack(out)


def relative_error(products: np.ndarray, model: VAE, train: tuple, test: tuple) -> float:
    """Worst |K - K_exact| / (|g_i| |g_j|) over 8 tests and 16 training samples."""
    a, b = gradients(model, test, range(8)), gradients(model, train, range(16))
    bound = a.norm(dim=1)[:, None] * b.norm(dim=1)
    got = torch.as_tensor(products[:8, :16], dtype=torch.float64)
    return float(((got - a @ b.T).abs() / bound).max())

"""Models whose structure is a trap for whoever takes gradients apart by sample."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

FORMS = ("pairs", "norms", "tokens", "dense")


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def seeded(make: Callable[[], nn.Module]) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        return make().double().eval()


def squares(model: nn.Module, x: Tensor, noise: Tensor | None) -> Tensor:
    y = model(x)
    weights = torch.cos(torch.arange(y[0].numel(), dtype=y.dtype)).view(y[0].shape)
    return (y * weights + y**2).flatten(1).sum(1)


class CalledTwice(nn.Module):
    """One layer, twice in a row: its gradient has cross terms between the calls."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.never = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(torch.tanh(self.layer(x)))


class SumsTwice(nn.Module):
    """Layers whose gradients are sums rather than tokens, each called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.group = nn.LayerNorm(4), nn.GroupNorm(2, 2)
        self.up = nn.ConvTranspose1d(2, 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(2):
            x = torch.tanh(self.group(self.up(self.norm(x))))
        return x


class TiedGroups(nn.Module):
    """One weight (4, 2, 3, 3): to one layer two groups of two channels, to the other one group."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(4, 4, 3, groups=2), nn.Conv2d(2, 4, 3)
        self.b.weight = self.a.weight

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.a(x)) * self.b(x[:, :2])


class Tied(nn.Module):
    """Two linear layers with one weight and biases of their own; two with one weight and bias."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c, self.d = (nn.Linear(4, 4) for _ in range(4))
        self.b.weight = self.a.weight
        self.d.weight, self.d.bias = self.c.weight, self.c.bias

    def forward(self, x: Tensor) -> Tensor:
        return self.d(torch.tanh(self.c(torch.tanh(self.b(torch.tanh(self.a(x)))))))


class TiedKinds(nn.Module):
    """An embedding whose table is also the output layer."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(6, 3, padding_idx=2)
        self.out = nn.Linear(3, 6, bias=False)
        self.out.weight = self.table.weight

    def forward(self, ids: Tensor) -> Tensor:
        return self.out(torch.tanh(self.table(ids).sum(1)))


class InPlace(nn.Module):
    """Activations in place after every kind of layer, the first one included."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(2, 4, 3, padding=1), nn.GroupNorm(2, 4)
        self.up, self.out = nn.ConvTranspose2d(4, 3, 2, 2), nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = functional.relu_(self.norm(functional.relu_(self.conv(x))))
        h = functional.relu_(self.up(h))
        h = self.out(h.view(len(x), 16, 12)[:, 1:9])  # a view, and then in place on a view
        h.view(len(x), -1).mul_(0.5)
        return functional.relu_(h)


class Bare(nn.Module):
    """Parameters without a layer: a vector, a matrix of its own, a scalar temperature."""

    def __init__(self) -> None:
        super().__init__()
        self.shift, self.matrix = nn.Parameter(torch.randn(4)), nn.Parameter(torch.randn(3, 4))
        self.log_scale = nn.Parameter(torch.tensor(-0.3))
        self.layer = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh((x + self.shift) @ self.matrix.T)
        return self.layer(h) * self.log_scale.exp()


class UsedDirectly(nn.Module):
    """A layer that is called, and whose weight is also used without calling it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 3), nn.Linear(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(self.first(x))
        return self.second(h) + functional.linear(h, self.first.weight.T)


class PseudoInputs(nn.Module):
    """A layer applied to the batch and to three rows that belong to no sample (a learned prior)."""

    def __init__(self, rows: int = 3) -> None:
        super().__init__()
        self.pseudo, self.layer = nn.Parameter(torch.randn(rows, 4)), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        own, prior = self.layer(x), self.layer(self.pseudo)
        return torch.tanh(own[:, None] - prior[None]).sum(1)


class DrawsFirst(nn.Module):
    """Two copies of the batch behind each other, instead of the copies of a sample together."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        stacked = torch.cat([x, torch.cos(x)])
        return torch.tanh(self.layer(stacked)).view(2, len(x), 3).sum(0)


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cells, self.out = nn.LSTM(3, 4, batch_first=True), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.cells(x)[0])


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention, self.norm = nn.MultiheadAttention(4, 2, batch_first=True), nn.LayerNorm(4)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x + self.attention(x, x, x, need_weights=False)[0])


class Branching(nn.Module):
    """Control flow on the data: cannot be vectorised. Some samples do not use the layer at all."""

    def __init__(self) -> None:
        super().__init__()
        self.gain, self.layer = nn.Parameter(torch.tensor(0.7)), nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        rows = [
            self.layer(row[None]) * self.gain if row[0] > 0 else self.gain**2 * row[None, :1]
            for row in x
        ]
        return torch.cat(rows)


class Checkpointed(nn.Module):
    """Activations are recomputed during the backward pass, which calls the layers again."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 4))
        self.out = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(checkpoint(self.inner, x, use_reentrant=False))


class Stopped(nn.Module):
    """A call without gradients, and a call whose output is detached."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.out = nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            target = self.layer(x)
        return self.out(self.layer(x) * target + self.layer(target).detach())


class Half(nn.Module):
    """Trainable biases on a frozen weight, a trainable weight with a frozen bias."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 3), nn.Linear(3, 2)
        self.a.weight.requires_grad_(False)
        self.b.bias.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(torch.tanh(self.a(x)))


def weight_normed() -> nn.Module:
    return nn.Sequential(
        nn.utils.parametrizations.weight_norm(nn.Linear(4, 3)), nn.Tanh(), nn.Linear(3, 2)
    )


def hooked() -> nn.Module:
    """A user's hooks that change what a layer is given and what it gives."""
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))
    model[0].register_forward_pre_hook(lambda _, args: (args[0] * 2,))
    model[0].register_forward_hook(lambda _, __, y: y**2)
    return model


# name: (model, shape of a sample, parameters that must be materialised)
MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], set[str]]] = {
    "called twice": (CalledTwice, (4,), set()),
    "called twice on tokens": (CalledTwice, (3, 4), set()),
    "sums called twice": (SumsTwice, (2, 4), set()),
    "tied groups": (TiedGroups, (4, 5, 4), {"a.weight"}),
    "tied": (Tied, (4,), set()),
    "in place": (InPlace, (2, 4, 4), set()),
    "bare parameters": (Bare, (4,), {"shift", "matrix", "log_scale"}),
    "used directly": (UsedDirectly, (4,), {"first.weight", "first.bias"}),
    "three pseudo-inputs": (PseudoInputs, (4,), {"pseudo", "layer.weight", "layer.bias"}),
    "five pseudo-inputs": (
        lambda: PseudoInputs(5),
        (4,),
        {"pseudo", "layer.weight", "layer.bias"},
    ),
    "draws first": (DrawsFirst, (4,), {"layer.weight", "layer.bias"}),
    "recurrent": (
        Recurrent,
        (3, 3),
        {f"cells.{kind}_{way}_l0" for kind in ("weight", "bias") for way in ("ih", "hh")},
    ),
    "attention": (
        Attention,
        (3, 4),
        {f"attention.{a}{b}" for a in ("in_proj_", "out_proj.") for b in ("weight", "bias")},
    ),
    "checkpointed": (Checkpointed, (4,), set()),
    "stopped": (Stopped, (4,), set()),
    "half frozen": (Half, (4,), set()),
    "weight norm": (
        weight_normed,
        (4,),
        {"0.bias"} | {f"0.parametrizations.weight.original{i}" for i in (0, 1)},
    ),
    "hooked": (hooked, (4,), set()),
}

"""Influence and self-influence at one checkpoint as others compute them.

Each gives a call that returns (Q, N), or (N,) for self-influence. Noise is data, loaders are in
order, parameters in float32, the model in eval mode.
"""

import logging
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from vae import Convolutional, Samples

Run = Callable[[], np.ndarray]


def loader(samples: Samples, batch: int) -> Any:
    """Batches (x, noise, label) in order; a rival that shuffles would permute the answer."""
    from torch.utils.data import DataLoader

    return DataLoader(dataset(samples), batch)


def dataset(samples: Samples) -> Any:
    from torch.utils.data import TensorDataset

    return TensorDataset(*samples, torch.zeros(len(samples[0])))


# ---- captum 0.9.0


def _captum(model: nn.Module, train: Samples) -> Any:
    influence = pytest.importorskip("captum.influence")

    def load(module: Any, state: dict) -> float:
        module.load_state_dict(state)
        return 1.0

    # Its fast way drops the parameters of transposed convolutions without a word.
    by_layers = not isinstance(model, Convolutional)
    return influence.TracInCP(
        model,
        dataset(train),
        checkpoints=[model.state_dict()],
        checkpoints_load_func=load,
        loss_fn=None,
        batch_size=32 if by_layers else 8,
        sample_wise_grads_per_batch=by_layers,
    )


def captum(model: nn.Module, train: Samples, test: Samples) -> Run:
    tracin = _captum(model, train)
    return lambda: tracin.influence(loader(test, tracin.batch_size)).numpy()


def captum_self(model: nn.Module, train: Samples) -> Run:
    tracin = _captum(model, train)
    return lambda: tracin.self_influence(outer_loop_by_checkpoints=True).numpy()


# ---- dattri 0.3.0, every gradient formed: its default projects to 512 dimensions


def _dattri(model: nn.Module) -> Any:
    pytest.importorskip("dattri")
    from dattri.algorithm.tracin import TracInAttributor
    from dattri.task import AttributionTask

    def loss(parameters: dict, batch: tuple) -> Tensor:
        return torch.func.functional_call(model, parameters, (batch[0], batch[1]))

    return TracInAttributor(
        task=AttributionTask(loss_func=loss, model=model, checkpoints=[model.state_dict()]),
        weight_list=torch.ones(1),
        normalized_grad=False,
        projector_kwargs={"proj_type": "identity"},
        device="cpu",
    )


def dattri(model: nn.Module, train: Samples, test: Samples) -> Run:
    attributor = _dattri(model)
    return lambda: attributor.attribute(loader(train, 32), loader(test, 32)).T.detach().numpy()


def dattri_self(model: nn.Module, train: Samples) -> Run:
    attributor = _dattri(model)
    return lambda: attributor.self_attribute(loader(train, 32)).detach().numpy()


# ---- dattri-llm 0.1.0, layer factors in a store; samples are merged if their bytes are equal


def _stored(model: nn.Module, samples: Samples, batch: int) -> Any:
    library = pytest.importorskip("dattri_llm")
    store = library.GradientStorageManager(tempfile.mkdtemp(), residency="memory")
    hooks = library.HookManager(
        model,
        config=library.HookManagerConfig(linear_io=library.REGISTER_ALL),
        callbacks=[
            library.OffloadCallback(
                offload_interval=1, file_manager=store, recording_type="per_sample"
            )
        ],
    )
    with hooks.collect():
        for one in loader(samples, batch):
            model.zero_grad()
            model(one[0], one[1]).sum().backward()
    hooks.remove()
    model.zero_grad()
    return store


def _stored_products(points: Any, queries: Any) -> np.ndarray:
    library = pytest.importorskip("dattri_llm")
    arguments = library.AttributionArguments(output_dir=tempfile.mkdtemp(), use_cpu=True)
    pairs = library.TracInAttributor(arguments).attribute_from_cache(points, queries)
    return pairs.agnostic_matrix()[1].T.numpy()


def dattri_llm(model: nn.Module, train: Samples, test: Samples, batch: int = 32) -> Run:
    return lambda: _stored_products(_stored(model, train, batch), _stored(model, test, batch))


def dattri_llm_scores(model: nn.Module, train: Samples, test: Samples, batch: int = 32) -> Run:
    points, queries = _stored(model, train, batch), _stored(model, test, batch)
    return lambda: _stored_products(points, queries)


def dattri_llm_self(model: nn.Module, train: Samples, batch: int = 32) -> Run:
    """It has no other way than the diagonal of N x N."""

    def run() -> np.ndarray:
        store = _stored(model, train, batch)
        return np.diagonal(_stored_products(store, store))

    return run


# ---- kronfluence 1.0.1, no preconditioner; transposed convolutions are dropped without a word


def _kronfluence(model: nn.Module, train: Samples, test: Samples | None, folder: str) -> np.ndarray:
    from kronfluence.analyzer import Analyzer, prepare_model
    from kronfluence.arguments import FactorArguments, ScoreArguments
    from kronfluence.task import Task

    class Summed(Task):
        def compute_train_loss(self, batch: Any, model: Any, sample: bool = False) -> Tensor:
            return model(batch[0], batch[1]).sum()

        def compute_measurement(self, batch: Any, model: Any) -> Tensor:
            return model(batch[0], batch[1]).sum()

    own = type(model)()
    own.load_state_dict(model.state_dict())
    task = Summed()
    analyzer = Analyzer(
        "a",
        prepare_model(own, task),
        task,
        cpu=True,
        output_dir=folder,
        disable_tqdm=True,
        log_level=logging.ERROR,
    )
    points = dataset(train)
    analyzer.fit_all_factors(
        "f",
        dataset=points,
        per_device_batch_size=32,
        factor_args=FactorArguments(strategy="identity"),
    )
    common: dict[str, Any] = {
        "train_dataset": points,
        "per_device_train_batch_size": 32,
        "score_args": ScoreArguments(damping_factor=0.0),
    }
    if test is None:
        analyzer.compute_self_scores("s", "f", **common)
        return analyzer.load_self_scores("s")["all_modules"].numpy()
    queries = dataset(test)
    analyzer.compute_pairwise_scores(
        "p", "f", query_dataset=queries, per_device_query_batch_size=32, **common
    )
    return analyzer.load_pairwise_scores("p")["all_modules"].numpy()


def kronfluence(model: nn.Module, train: Samples, test: Samples | None) -> Run:
    pytest.importorskip("kronfluence")

    def run() -> np.ndarray:
        with tempfile.TemporaryDirectory() as folder:
            return _kronfluence(model, train, test, folder)

    return run


def kronfluence_self(model: nn.Module, train: Samples) -> Run:
    return kronfluence(model, train, None)


# ---- torch, written in full: what factors give without a kernel


Tokens = tuple[Tensor, Tensor]  # inputs (n, T, d) and gradients (n, T, p) of a layer
_BATCH = 256


def _layer_tokens(layer: nn.Module, a: Tensor, g: Tensor, n: int) -> list[Tokens]:
    """The gradient of sample i is sum_t g_it a_it^T; a bias is one more input, always 1."""
    if isinstance(layer, nn.Linear):
        a, g = a.reshape(n, -1, a.shape[-1]), g.reshape(n, -1, g.shape[-1])
        return [(functional.pad(a, (0, 1), value=1), g)]
    spread = {"kernel_size": layer.kernel_size, "stride": layer.stride, "padding": layer.padding}
    if isinstance(layer, nn.Conv2d):
        a = functional.unfold(a, **spread).mT.reshape(n, -1, layer.weight[0].numel())
        g = g.flatten(2).mT.reshape(n, -1, layer.out_channels)
        return [(functional.pad(a, (0, 1), value=1), g)]
    # Transposed, the roles are swapped, and the bias is fed at positions of its own.
    bias = g.reshape(n, -1, *g.shape[1:]).sum((1, 3, 4))[:, None]
    g = functional.unfold(g, **spread).mT.reshape(n, -1, layer.weight[0].numel())
    a = a.flatten(2).mT.reshape(n, -1, layer.in_channels)
    return [(a, g), (torch.ones_like(bias[..., :1]), bias)]


def _captured(model: nn.Module, samples: Samples) -> list[Tokens]:
    """Inputs by hooks, gradients at the outputs by one backward pass; parameters are frozen."""
    layers = [m for m in model.modules() if not list(m.children())]
    parts = []
    model.requires_grad_(False)
    try:
        for x, noise in zip(*(t.split(_BATCH) for t in samples), strict=True):
            seen: list[tuple[nn.Module, Tensor, Tensor]] = []

            def hook(layer: nn.Module, given: tuple, output: Tensor, seen: list = seen) -> None:
                if not output.requires_grad:
                    output.requires_grad_()
                seen.append((layer, given[0].detach(), output))

            handles = [layer.register_forward_hook(hook) for layer in layers]
            losses = model(x, noise)
            for handle in handles:
                handle.remove()
            at_outputs = torch.autograd.grad(losses.sum(), [output for _, _, output in seen])
            parts.append(
                [
                    tokens
                    for (layer, a, _), g in zip(seen, at_outputs, strict=True)
                    for tokens in _layer_tokens(layer, a, g, len(x))
                ]
            )
    finally:
        model.requires_grad_(True)
    return [
        (torch.cat([a for a, _ in layer]), torch.cat([g for _, g in layer]))
        for layer in zip(*parts, strict=True)
    ]


def _few(a: Tensor, g: Tensor) -> bool:
    """Whether a pair costs less by its tokens than by its gradients."""
    t, d, p = a.shape[1], a.shape[2], g.shape[2]
    return t * t * (d + p) < d * p


def token_products(queries: list[Tokens], points: list[Tokens], block: int = 128) -> Tensor:
    """Per layer two products, over d and over p, multiplied and summed over the tokens of each
    pair; a layer of many tokens forms its gradients, and multiplies them."""
    out = torch.zeros(len(queries[0][0]), len(points[0][0]))
    for (aq, gq), (ax, gx) in zip(queries, points, strict=True):
        m, t = aq.shape[:2]
        if not _few(aq, gq):
            left = torch.einsum("ntp,ntd->npd", gq, aq).flatten(1)
            for at in range(0, len(ax), block):
                some = slice(at, at + block)
                right = torch.einsum("ntp,ntd->npd", gx[some], ax[some]).flatten(1)
                out[:, some].addmm_(left, right.T)
            continue
        for at in range(0, len(ax), block):
            some = slice(at, at + block)
            a, g = ax[some].flatten(0, 1), gx[some].flatten(0, 1)
            products = (aq.flatten(0, 1) @ a.T).mul_(gq.flatten(0, 1) @ g.T)
            out[:, some] += products if t == 1 else products.view(m, t, -1, t).sum((1, 3))
    return out


def token_squares(points: list[Tokens]) -> Tensor:
    """Squared norms: two Grams per sample and layer, or the gradient where that is less work."""
    total = torch.zeros(len(points[0][0]), dtype=torch.float64)
    for a, g in points:
        t, d, p = a.shape[1], a.shape[2], g.shape[2]
        if t * (d + p) < d * p:
            total += ((a @ a.mT) * (g @ g.mT)).sum((1, 2))
        else:
            total += (g.mT @ a).square().sum((1, 2))
    return total


def torch_factors(model: nn.Module, train: Samples, test: Samples) -> Run:
    return lambda: token_products(_captured(model, test), _captured(model, train)).numpy()


def torch_scores(model: nn.Module, train: Samples, test: Samples) -> Run:
    queries, points = _captured(model, test), _captured(model, train)
    return lambda: token_products(queries, points).numpy()


def torch_factors_self(model: nn.Module, train: Samples) -> Run:
    return lambda: token_squares(_captured(model, train)).numpy()


def torch_self_scores(model: nn.Module, train: Samples) -> Run:
    points = _captured(model, train)
    return lambda: token_squares(points).numpy()


def passes(model: nn.Module, train: Samples) -> Callable[[], None]:
    """One forward and one backward pass of the same batches and draws: a training step's work."""

    def run() -> None:
        for x, noise in zip(*(t.split(512) for t in train), strict=True):
            model.zero_grad()
            model(x, noise).sum().backward()
        model.zero_grad()

    return run

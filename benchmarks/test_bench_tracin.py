"""How long does influence take end to end, capture included, at one checkpoint of an MLP VAE?"""

import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import vae
from backends import usable_backends
from duels import Contender
from equal_threads import THREADS

BATCH = 32
# Training samples, test samples, draws.
CASES = [(256, 64, 4), (1024, 128, 1), (1024, 128, 4), (1024, 128, 16)]

Run = Callable[[], np.ndarray]


def loader(samples: tuple) -> Any:
    """Batches (x, noise, label) in order; a rival that shuffles would permute the answer."""
    from torch.utils.data import DataLoader, TensorDataset

    return DataLoader(TensorDataset(*samples, torch.zeros(len(samples[0]))), BATCH)


def genmem_tracin(model: Any, train: tuple, test: tuple) -> Run:
    from genmem import TracIn

    def loss(module: Any, batch: tuple, noise: None) -> torch.Tensor:
        return module(*batch)

    tracin = TracIn([model.state_dict()], loss, model=model, weights=[1.0])
    return lambda: tracin.influence(test, train)


def captum(model: Any, train: tuple, test: tuple) -> Run:
    influence = pytest.importorskip("captum.influence")
    from torch.utils.data import TensorDataset

    def load(module: Any, state: dict) -> float:
        module.load_state_dict(state)
        return 1.0

    tracin = influence.TracInCP(
        model,
        TensorDataset(*train, torch.zeros(len(train[0]))),
        checkpoints=[model.state_dict()],
        checkpoints_load_func=load,
        loss_fn=None,
        batch_size=BATCH,
        sample_wise_grads_per_batch=True,
    )
    return lambda: tracin.influence(loader(test)).numpy()


def dattri(model: Any, train: tuple, test: tuple) -> Run:
    pytest.importorskip("dattri")
    from dattri.algorithm.tracin import TracInAttributor
    from dattri.task import AttributionTask

    def loss(parameters: dict, batch: tuple) -> torch.Tensor:
        return torch.func.functional_call(model, parameters, (batch[0], batch[1]))

    attributor = TracInAttributor(
        task=AttributionTask(loss_func=loss, model=model, checkpoints=[model.state_dict()]),
        weight_list=torch.ones(1),
        normalized_grad=False,
        projector_kwargs={"proj_type": "identity"},  # the default projects to 512 dimensions
        device="cpu",
    )
    return lambda: attributor.attribute(loader(train), loader(test)).T.detach().numpy()


def dattri_llm(model: Any, train: tuple, test: tuple) -> Run:
    library = pytest.importorskip("dattri_llm")

    def capture(samples: tuple) -> Any:
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
            for batch in loader(samples):
                model.zero_grad()
                model(batch[0], batch[1]).sum().backward()
        hooks.remove()
        return store

    def run() -> np.ndarray:
        arguments = library.AttributionArguments(output_dir=tempfile.mkdtemp(), use_cpu=True)
        attributor = library.TracInAttributor(arguments)
        pairs = attributor.attribute_from_cache(capture(train), capture(test))
        return pairs.agnostic_matrix()[1].T.numpy()

    return run


RIVALS = {"dattri-llm": dattri_llm, "captum TracInCP": captum, "dattri identity": dattri}
TARGETS = {"dattri-llm": 5.0, "captum TracInCP": 50.0, "dattri identity": 500.0}
GATE = 1e-5  # relative to the product of the gradients' norms


@pytest.mark.filterwarnings("ignore")  # of the rivals' own making
@pytest.mark.parametrize("case", CASES, ids=str)
def test_tracin(duel: Callable[..., None], case: tuple[int, int, int]) -> None:
    n, q, draws = case
    model, train, test = vae.problem(n, q, draws)

    def check(products: np.ndarray) -> tuple[float, str]:
        assert products.shape == (q, n)
        return vae.relative_error(products, model, train, test), ""

    auto = usable_backends()[0]
    mine = [Contender(auto, genmem_tracin(model, train, test), check, GATE)]
    others = [
        Contender(name, make(model, train, test), check, GATE, target={auto: TARGETS[name]})
        for name, make in RIVALS.items()
        # A minute and a half at N = 256; it grows with N Q. captum holds all test gradients, and
        # the gradients of a batch with m times the rows.
        if n <= 256 or name == "dattri-llm" or (name == "captum TracInCP" and draws == 1)
    ]
    duel("TracIn", f"MLP VAE m={draws} N={n} Q={q}", THREADS[0], mine, others)

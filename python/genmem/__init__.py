"""Which training samples a generative model has memorized, which drive its likelihood, and why.

The one quantity is the leave-one-out influence IF(x_i, z) = log p(z | D) - log p(z | D without i),
in nats; the memorization score of x_i is its influence on itself. Names are loaded when first used,
so `import genmem` is quick and works without torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from genmem.kernels import Factors as Factors
from genmem.kernels import LayerFactors as LayerFactors
from genmem.kernels import Neighbors as Neighbors
from genmem.kernels import TopInfluences as TopInfluences
from genmem.kernels import config as config
from genmem.kernels import grad_dot as grad_dot
from genmem.kernels import knn as knn
from genmem.kernels import log_kde as log_kde
from genmem.kernels import show_config as show_config

if TYPE_CHECKING:
    from genmem import copying as copying
    from genmem import datasets as datasets
    from genmem import studies as studies
    from genmem.density import GaussianKDE as GaussianKDE
    from genmem.density import GaussianMixtureDensity as GaussianMixtureDensity
    from genmem.density import KernelDensity as KernelDensity
    from genmem.density import NearestNeighborDensity as NearestNeighborDensity
    from genmem.influence import TracIn as TracIn
    from genmem.memorization import MemorizationScores as MemorizationScores
    from genmem.memorization import cross_validate as cross_validate
    from genmem.reports import report as report
    from genmem.training import Recipe as Recipe
    from genmem.training import Run as Run
    from genmem.training.train import train as train

# Where a name lives that is loaded on first use; None: the name is a module of its own.
_LATER = {
    "GaussianKDE": "density",
    "GaussianMixtureDensity": "density",
    "KernelDensity": "density",
    "NearestNeighborDensity": "density",
    "TracIn": "influence",
    "MemorizationScores": "memorization",
    "cross_validate": "memorization",
    "report": "reports",
    "Recipe": "training",
    "Run": "training",
    "train": "training",
    "copying": None,
    "datasets": None,
    "studies": None,
}

__all__ = [
    "Factors",
    "GaussianKDE",
    "GaussianMixtureDensity",
    "KernelDensity",
    "LayerFactors",
    "MemorizationScores",
    "NearestNeighborDensity",
    "Neighbors",
    "Recipe",
    "Run",
    "TopInfluences",
    "TracIn",
    "config",
    "copying",
    "cross_validate",
    "datasets",
    "grad_dot",
    "knn",
    "log_kde",
    "report",
    "show_config",
    "studies",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'genmem' has no attribute '{name}'")
    room = _LATER[name]
    if room is None:
        return import_module(f"genmem.{name}")
    value = getattr(import_module(f"genmem.{room}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

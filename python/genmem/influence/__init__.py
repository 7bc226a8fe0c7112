"""Influence of training samples by gradient products: capture, TracIn, self-influence, stores."""

from genmem.influence.factors import Capture as Capture
from genmem.influence.factors import capture_factors as capture_factors
from genmem.influence.store import FactorStore as FactorStore
from genmem.influence.tracin import TracIn as TracIn
from genmem.influence.tracin import score as score
from genmem.influence.weights import checkpoint_weights as checkpoint_weights
from genmem.kernels import TopInfluences as TopInfluences

"""Influence of training samples by gradient products: capture, TracIn, self-influence, stores."""

from genmem.influence.factors import Capture as Capture
from genmem.influence.factors import capture_factors as capture_factors
from genmem.influence.foreign import LoadedBy as LoadedBy
from genmem.influence.foreign import StateCheckpoint as StateCheckpoint
from genmem.influence.foreign import load_state as load_state
from genmem.influence.foreign import loaded_by as loaded_by
from genmem.influence.foreign import state_checkpoints as state_checkpoints
from genmem.influence.generated import GeneratedInfluence as GeneratedInfluence
from genmem.influence.mislabel import Detection as Detection
from genmem.influence.mislabel import detection as detection
from genmem.influence.store import FactorStore as FactorStore
from genmem.influence.stored import rounding_bound as rounding_bound
from genmem.influence.stored import score as score
from genmem.influence.stored import self_score as self_score
from genmem.influence.tracin import TracIn as TracIn
from genmem.influence.weights import checkpoint_weights as checkpoint_weights
from genmem.kernels import TopInfluences as TopInfluences

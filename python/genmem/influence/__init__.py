"""Influence of training samples by gradient products: capture, TracIn, self-influence, stores."""

from genmem.influence.capture.factors import Capture as Capture
from genmem.influence.capture.factors import capture_factors as capture_factors
from genmem.influence.checkpoints.foreign import LoadedBy as LoadedBy
from genmem.influence.checkpoints.foreign import StateCheckpoint as StateCheckpoint
from genmem.influence.checkpoints.foreign import load_state as load_state
from genmem.influence.checkpoints.foreign import loaded_by as loaded_by
from genmem.influence.checkpoints.foreign import state_checkpoints as state_checkpoints
from genmem.influence.checkpoints.weights import checkpoint_weights as checkpoint_weights
from genmem.influence.generated import GeneratedInfluence as GeneratedInfluence
from genmem.influence.mislabel import Detection as Detection
from genmem.influence.mislabel import detection as detection
from genmem.influence.stores.retrieval import retrieve as retrieve
from genmem.influence.stores.retrieval import sketches as sketches
from genmem.influence.stores.store import FactorStore as FactorStore
from genmem.influence.stores.stored import rounding_bound as rounding_bound
from genmem.influence.stores.stored import score as score
from genmem.influence.stores.stored import self_score as self_score
from genmem.influence.tracin import TracIn as TracIn
from genmem.kernels import TopInfluences as TopInfluences

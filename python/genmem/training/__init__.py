"""Training of one model: recipes, fixed inputs, checkpoints that resume bit for bit, and runs."""

from genmem.training.checkpoints import Checkpoint as Checkpoint
from genmem.training.checkpoints import signature as signature
from genmem.training.evaluation import log_prob as log_prob
from genmem.training.inputs import Inputs as Inputs
from genmem.training.recipe import Recipe as Recipe
from genmem.training.run import Run as Run
from genmem.training.train import train as train

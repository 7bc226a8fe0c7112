"""Per-sample objectives of a variational autoencoder, and its importance-sampled log-density."""

from genmem.objectives.beta import BetaELBO as BetaELBO
from genmem.objectives.elbo import ELBO as ELBO
from genmem.objectives.elbo import Objective as Objective
from genmem.objectives.elbo import kl as kl
from genmem.objectives.iwae import IWAE as IWAE
from genmem.objectives.log_marginal import log_marginal as log_marginal
from genmem.objectives.log_weights import LogMarginal as LogMarginal
from genmem.objectives.log_weights import LogWeights as LogWeights
from genmem.objectives.log_weights import jackknife as jackknife
from genmem.objectives.make import OBJECTIVES as OBJECTIVES
from genmem.objectives.make import make as make

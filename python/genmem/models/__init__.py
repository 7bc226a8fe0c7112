"""Variational autoencoders: encoders, decoders and the likelihoods that join a decoder to data."""

from genmem.models.build import LIKELIHOODS as LIKELIHOODS
from genmem.models.build import MODELS as MODELS
from genmem.models.build import Architecture as Architecture
from genmem.models.build import build as build
from genmem.models.conditional import ConditionalVAE as ConditionalVAE
from genmem.models.decoders import Decoder as Decoder
from genmem.models.encoders import Encoder as Encoder
from genmem.models.likelihoods import Bernoulli as Bernoulli
from genmem.models.likelihoods import ConstantGaussian as ConstantGaussian
from genmem.models.likelihoods import Gaussian as Gaussian
from genmem.models.likelihoods import Likelihood as Likelihood
from genmem.models.likelihoods import SquaredError as SquaredError
from genmem.models.observed import Observed as Observed
from genmem.models.scoring import require_eval as require_eval
from genmem.models.scoring import scoring as scoring
from genmem.models.single_thread import single_thread as single_thread
from genmem.models.spaces import LogitSpace as LogitSpace
from genmem.models.spaces import PixelSpace as PixelSpace
from genmem.models.vae import VAE as VAE

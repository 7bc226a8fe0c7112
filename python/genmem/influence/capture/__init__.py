"""Per-sample gradients of every trainable parameter, as factors, proven against autograd."""

from genmem.influence.capture.factors import Capture as Capture
from genmem.influence.capture.factors import capture_factors as capture_factors

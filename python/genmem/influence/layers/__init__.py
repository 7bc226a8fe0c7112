"""Layer families: what one call of a layer adds to the per-sample gradients of its parameters."""

from genmem.influence.layers.family import Family as Family
from genmem.influence.layers.family import ScaleFamily as ScaleFamily
from genmem.influence.layers.family import TokenFamily as TokenFamily
from genmem.influence.layers.family import Unseparable as Unseparable
from genmem.influence.layers.registry import family_of as family_of

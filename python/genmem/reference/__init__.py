"""The specification: every operation again in NumPy float64, the shortest code that is true.

Nothing here is meant to be fast; the native kernels are tested against it, and it imports nothing
of genmem, so that a mistake elsewhere cannot hide in it.
"""

from genmem.reference.grad_dot import grad_dot as grad_dot
from genmem.reference.knn import knn as knn
from genmem.reference.knn import sq_distances as sq_distances
from genmem.reference.log_kde import exponents as exponents
from genmem.reference.log_kde import kde_slots as kde_slots
from genmem.reference.log_kde import log_kde as log_kde
from genmem.reference.log_kde import log_kde_gradient as log_kde_gradient
from genmem.reference.log_kde import log_normaliser as log_normaliser
from genmem.reference.log_kde import log_profile as log_profile

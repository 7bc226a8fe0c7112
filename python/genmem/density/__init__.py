"""Densities whose likelihood can be attributed to the rows they were fitted to."""

from genmem.density.bandwidth import LeaveOneOut as LeaveOneOut
from genmem.density.kde import GaussianKDE as GaussianKDE
from genmem.density.kernel_density import AbstractKernelDensity as AbstractKernelDensity
from genmem.density.kernel_density import KernelDensity as KernelDensity
from genmem.density.log_density import AbstractLogDensity as AbstractLogDensity
from genmem.density.mixture import GaussianMixtureDensity as GaussianMixtureDensity
from genmem.density.nearest import NearestNeighborDensity as NearestNeighborDensity
from genmem.density.spherical import spherical_cluster_influence as spherical_cluster_influence
from genmem.density.top import InfluenceBlock as InfluenceBlock
from genmem.density.top import TopInfluence as TopInfluence

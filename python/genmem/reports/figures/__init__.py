"""The figures of the report: one figure, one file; each reads tables and returns a `Drawing`."""

from genmem.reports.figures.agreement_dots import agreement_dots as agreement_dots
from genmem.reports.figures.agreement_matrix import agreement_matrix as agreement_matrix
from genmem.reports.figures.attribute_correlations import (
    attribute_correlations as attribute_correlations,
)
from genmem.reports.figures.attribute_scatters import attribute_scatters as attribute_scatters
from genmem.reports.figures.canvas import Drawing as Drawing
from genmem.reports.figures.histogram import histogram as histogram
from genmem.reports.figures.log_p import log_p_excluded as log_p_excluded
from genmem.reports.figures.log_p import log_p_included as log_p_included
from genmem.reports.figures.losses import losses as losses
from genmem.reports.figures.nearest_distances import nearest_distances as nearest_distances
from genmem.reports.figures.overlap import overlap as overlap
from genmem.reports.figures.rho_and_memorization import (
    rho_and_memorization as rho_and_memorization,
)
from genmem.reports.figures.self_influence import self_influence as self_influence
from genmem.reports.figures.trajectory import trajectory as trajectory

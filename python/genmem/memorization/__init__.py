"""Memorization scores: cross-validated, with intervals and p-values, epoch by epoch."""

from genmem.memorization.cross_validation import cross_validate as cross_validate
from genmem.memorization.cross_validation import read_units as read_units
from genmem.memorization.learners import Evaluation as Evaluation
from genmem.memorization.scores import MemorizationScores as MemorizationScores
from genmem.memorization.scoring import Settings as Settings
from genmem.memorization.scoring import score_values as score_values
from genmem.memorization.significance import benjamini_hochberg as benjamini_hochberg
from genmem.memorization.significance import benjamini_yekutieli as benjamini_yekutieli
from genmem.memorization.significance import rank_sum_pvalues as rank_sum_pvalues
from genmem.memorization.subset import SubsetAccumulator as SubsetAccumulator
from genmem.memorization.subset import SubsetScores as SubsetScores
from genmem.memorization.subset import draw_subsets as draw_subsets
from genmem.memorization.subset import subset_influence as subset_influence
from genmem.memorization.subset import subset_memorization as subset_memorization
from genmem.memorization.trajectory import QuantileInterval as QuantileInterval
from genmem.memorization.trajectory import generalization_gap as generalization_gap
from genmem.memorization.trajectory import quantile_interval as quantile_interval
from genmem.memorization.trajectory import resampled_quantiles as resampled_quantiles
from genmem.memorization.trajectory import trajectory as trajectory

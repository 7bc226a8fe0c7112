"""Whether influence is right: against models that were trained without the samples it names."""

from genmem.influence.evaluation.correlations import Correlations as Correlations
from genmem.influence.evaluation.correlations import correlations as correlations
from genmem.influence.evaluation.datamodeling import datamodel_subsets as datamodel_subsets
from genmem.influence.evaluation.datamodeling import (
    linear_datamodeling_score as linear_datamodeling_score,
)
from genmem.influence.evaluation.leave_one_out import leave_one_out as leave_one_out
from genmem.influence.evaluation.leave_one_out import (
    leave_one_out_correlation as leave_one_out_correlation,
)
from genmem.influence.evaluation.retraining import retrained_outputs as retrained_outputs

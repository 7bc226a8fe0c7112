"""Copying tests: do generated samples repeat the training data more than held-out data would?

Each takes (train, test, generated) and answers with a statistic, the same of held-out samples, a
p-value with its null, an interval, and one value per sample. Neighbours are exact, in difference
form: a copy is at distance 0.
"""

from genmem.copying.authenticity import Authenticity as Authenticity
from genmem.copying.authenticity import authenticity as authenticity
from genmem.copying.calibrated_distance import CalibratedDistance as CalibratedDistance
from genmem.copying.calibrated_distance import calibrated_distance as calibrated_distance
from genmem.copying.data_copying import DataCopying as DataCopying
from genmem.copying.data_copying import data_copying as data_copying
from genmem.copying.distances import CopyingDistances as CopyingDistances
from genmem.copying.examine import examine as examine
from genmem.copying.likelihood_divergence import LikelihoodDivergence as LikelihoodDivergence
from genmem.copying.likelihood_divergence import likelihood_divergence as likelihood_divergence
from genmem.copying.near_duplicates import NearDuplicateRate as NearDuplicateRate
from genmem.copying.near_duplicates import near_duplicate_rate as near_duplicate_rate
from genmem.copying.nearest_ratio import NearestRatio as NearestRatio
from genmem.copying.nearest_ratio import nearest_ratio as nearest_ratio
from genmem.copying.results import CopyingResult as CopyingResult
from genmem.copying.third_ratio import ThirdRatio as ThirdRatio
from genmem.copying.third_ratio import third_ratio as third_ratio

"""Studies: attributes of samples, agreement of models, and the audit that joins everything."""

from genmem.studies.agreement import agreement as agreement
from genmem.studies.attributes import attributes as attributes
from genmem.studies.attributes import correlate as correlate
from genmem.studies.audit import audit as audit
from genmem.studies.concordance import Concordance as Concordance
from genmem.studies.concordance import concordance as concordance
from genmem.studies.copying_and_memorization import CopyingAndMemorization as CopyingAndMemorization
from genmem.studies.copying_and_memorization import (
    copying_and_memorization as copying_and_memorization,
)
from genmem.studies.correlation import Correlation as Correlation
from genmem.studies.correlation import kendall as kendall
from genmem.studies.correlation import partial_spearman as partial_spearman
from genmem.studies.correlation import spearman as spearman
from genmem.studies.influence_study import influence_study as influence_study
from genmem.studies.overlap import Overlap as Overlap
from genmem.studies.overlap import RankBiasedOverlap as RankBiasedOverlap
from genmem.studies.overlap import overlap as overlap
from genmem.studies.overlap import rank_biased_overlap as rank_biased_overlap

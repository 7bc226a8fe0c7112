"""Doors of the shape people know: change an import, and the scores are exact and cover everything.

from genmem.influence.tasks import TracInCP                             # captum.influence
from genmem.influence.tasks import AttributionTask, TracInAttributor    # dattri
"""

from genmem.influence.tasks.captum import KMostInfluentialResults as KMostInfluentialResults
from genmem.influence.tasks.captum import TracInCP as TracInCP
from genmem.influence.tasks.dattri import AttributionTask as AttributionTask
from genmem.influence.tasks.dattri import TracInAttributor as TracInAttributor

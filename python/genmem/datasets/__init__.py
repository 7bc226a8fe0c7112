"""Data sets with identities: readers, planted ground truth, folds, verified downloads."""

from genmem.datasets.dataset import Dataset as Dataset
from genmem.datasets.loading import load as load
from genmem.datasets.planted import plant as plant
from genmem.datasets.splits import duplicate_groups as duplicate_groups
from genmem.datasets.splits import folds as folds
from genmem.datasets.torch_items import from_torch as from_torch

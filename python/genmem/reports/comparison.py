"""The agreement table as the page reads it: names as people write them, best pairs first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from genmem.reports.tables import Tables, column

if TYPE_CHECKING:
    import pandas as pd

# How people write the names under which models are stored.
WRITTEN = {
    "elbo": "ELBO",
    "beta": "beta-VAE",
    "iwae": "IWAE",
    "kde": "KDE",
    "knn": "k-NN",
    "gmm": "GMM",
}


def written(name: object) -> str:
    """A model's name as people write it; a name that is not known stays as it is."""
    return WRITTEN.get(str(name), str(name))


def pairs(tables: Tables) -> pd.DataFrame:
    """The agreement table with written names, pairs of highest rank correlation first."""
    assert tables.agreement is not None
    table = tables.agreement[np.isfinite(tables.agreement["spearman"])]
    order = np.argsort(-table["spearman"].to_numpy(), kind="stable")
    ordered: pd.DataFrame = table.iloc[order].reset_index(drop=True)
    return ordered.assign(a=ordered["a"].map(written), b=ordered["b"].map(written))


def models(tables: Tables) -> list[str]:
    """The written names of the models, in the order in which the table first names them."""
    assert tables.agreement is not None
    ends = zip(tables.agreement["a"], tables.agreement["b"], strict=True)
    return list(dict.fromkeys(written(name) for pair in ends for name in pair))


def has(table: pd.DataFrame, name: str) -> bool:
    """Whether a column is there and holds a number anywhere."""
    return name in table and bool(np.isfinite(column(table, name)).any())


def reliabilities(table: pd.DataFrame) -> dict[str, float]:
    """Split-half reliability of each model that has one: the ceiling that noise sets."""
    found: dict[str, float] = {}
    for end in ("a", "b"):
        if has(table, f"reliability_{end}"):
            found |= dict(zip(table[end], column(table, f"reliability_{end}"), strict=True))
    return {name: value for name, value in found.items() if np.isfinite(value)}

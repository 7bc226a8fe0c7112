"""The table of all tests: labels, q-values over it, FLD and its gap apart."""

import json

import numpy as np

from draws import TESTS
from genmem.copying import examine
from genmem.memorization import benjamini_hochberg
from genmem.studies.copying_table import LABELS, NO_PVALUE, table


def test_every_statistic_has_a_row() -> None:
    random = np.random.default_rng(0)
    sets = [random.standard_normal((n, 4)) for n in (90, 60, 70)]
    sets[2][:6] = sets[0][:6]
    results = examine(*sets, resamples=20)
    rows = table(results)
    assert [row["name"] for row in rows] == [*TESTS, "balanced_gap"] == list(LABELS)
    by_name = {row["name"]: row for row in rows}
    for name, result in results.items():
        assert by_name[name]["value"] == result.statistic
        assert by_name[name]["lower"] == result.ci[0]
    fld = by_name["likelihood_divergence"]
    assert (fld["pvalue"], fld["qvalue"], fld["null"]) == (None, None, NO_PVALUE)
    gap = results["likelihood_divergence"]
    assert by_name["balanced_gap"]["pvalue"] == gap.pvalue
    assert by_name["balanced_gap"]["value"] == gap.balanced_gap
    assert by_name["balanced_gap"]["reference"] == 0
    known = [row for row in rows if row["pvalue"] is not None]
    assert [row["qvalue"] for row in known] == benjamini_hochberg(
        [row["pvalue"] for row in known]
    ).tolist()
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows


def test_an_undefined_test_has_no_qvalue() -> None:
    random = np.random.default_rng(0)
    rows = table(examine(*(random.standard_normal((n, 4)) for n in (60, 5, 5)), resamples=9))
    undefined = next(row for row in rows if row["name"] == "data_copying")
    assert undefined["value"] is None
    assert undefined["qvalue"] is None
    assert sum(row["qvalue"] is not None for row in rows) == 6

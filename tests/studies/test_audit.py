import json
import random
import shutil
import subprocess
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from genmem.datasets import Dataset, load, plant
from genmem.errors import RunMismatchError
from genmem.influence import TracIn
from genmem.ledger import read_identity, read_unit
from genmem.memorization import MemorizationScores, cross_validate, quantile_interval
from genmem.studies import attributes, audit, correlate
from genmem.studies.presets import preset
from genmem.training import Recipe, Run

TABLES = (
    "scores/memorization",
    "scores/by_epoch",
    "scores/attributes",
    "scores/self_influence",
    "scores/neighbours",
    "scores/generated_influence",
    "influence/proponents",
    "influence/generated",
    "tables/history",
    "tables/attribute_correlations",
    "tables/agreement",
)


def tables(directory: Path) -> dict[str, pd.DataFrame]:
    return {name: pd.read_parquet(directory / f"{name}.parquet") for name in TABLES}


def said(directory: Path) -> list[str]:
    return json.loads((directory / "summary.json").read_text())["warnings"]


def assert_same(a: Path, b: Path) -> None:
    """The same numbers to the bit in every table and picture, and the same facts but the times, and
    but what was warned of."""
    there = tables(b)
    for name, table in tables(a).items():
        pd.testing.assert_frame_equal(table, there[name], check_exact=True, obj=name)
    here, other = (read_unit(path / "images.safetensors")[0] for path in (a, b))
    assert all((here[name] == other[name]).all() for name in ("index", "pixels"))
    facts = [json.loads((path / "summary.json").read_text()) for path in (a, b)]
    for one in facts:
        del one["stages"], one["finished"], one["machine"], one["warnings"]
    assert facts[0] == facts[1]


@pytest.fixture(scope="module")
def data() -> Dataset:
    return plant(load("digits", limit=90), near_duplicates=0.03, outliers=0.03, seed=2)


@pytest.fixture(scope="module")
def run(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    with ThreadPoolExecutor(1) as pool:
        return audit(data, tmp_path_factory.mktemp("audit") / "run", "smoke", executor=pool)


def test_every_table_has_its_columns_and_rows(run: Path, data: Dataset) -> None:
    found = tables(run)
    for name in ("memorization", "by_epoch", "attributes", "self_influence"):
        assert found[f"scores/{name}"].columns[0] == "index"
        assert (found[f"scores/{name}"]["index"] == data.index).all()
    assert list(found["scores/by_epoch"].columns) == ["index", "epoch_1", "epoch_2"]
    assert list(found["scores/neighbours"].columns) == ["index", "rank", "neighbour", "distance"]
    assert len(found["scores/neighbours"]) == 5 * len(data)
    assert list(found["influence/proponents"].columns) == [
        "index",
        "side",
        "rank",
        "train_index",
        "score",
    ]
    assert list(found["tables/history"].columns) == ["epoch", "train_loss", "heldout_loss"]
    assert {"attribute", "label", "spearman", "lower", "upper", "pvalue", "qvalue", "n"} == set(
        found["tables/attribute_correlations"].columns
    )
    assert len(found["tables/agreement"]) == 15
    assert set(found["tables/agreement"].columns) >= {"partial", "overlap_pvalue", "corrected"}


def test_scores_are_those_of_the_library(run: Path, data: Dataset) -> None:
    sizes = preset("smoke", data)
    want = cross_validate(sizes.recipes["elbo"], data, sizes.folds, sizes.repeats)
    got = MemorizationScores.load(run / "scores/memorization.parquet")
    assert (got.score == want.score).all()
    assert (got.pvalue == want.pvalue).all()
    found = tables(run)
    assert (found["scores/by_epoch"]["epoch_1"] == want.by_epoch[:, 0]).all()
    gap = found["tables/history"]["heldout_loss"] - found["tables/history"]["train_loss"]
    assert (np.abs(gap - want.log_by_epoch.mean(axis=0)) <= 1e-9).all()


def test_attributes_are_those_of_the_library(run: Path, data: Dataset) -> None:
    scores = MemorizationScores.load(run / "scores/memorization.parquet")
    want = attributes(data, Run.load(run / "models/elbo"), scores, k=5)
    found = tables(run)
    pd.testing.assert_frame_equal(found["scores/attributes"], want, check_exact=True)
    related = correlate(want, scores.score)
    pd.testing.assert_frame_equal(found["tables/attribute_correlations"], related, check_exact=True)


def test_influences_are_those_of_the_library(run: Path, data: Dataset) -> None:
    found = tables(run)
    scores = found["scores/memorization"]["score"].to_numpy()
    table = found["influence/proponents"]
    most = data.index[int(scores.argmax())]
    tracin = TracIn(Run.load(run / "models/elbo"), draws=preset("smoke", data).influence_draws)
    row = tracin.influence(data.take([int(scores.argmax())]), data)[0]
    mine = table[(table["index"] == most) & (table["side"] == "proponent")]
    assert mine["rank"].tolist() == [1, 2, 3]
    assert mine["train_index"].tolist() == data.index[np.argsort(-row, kind="stable")[:3]].tolist()
    assert (np.abs(mine["score"] - np.sort(row)[::-1][:3]) <= 1e-6 * np.abs(row).max()).all()
    own = tracin.self_influence(data)
    assert (np.abs(found["scores/self_influence"]["self_influence"] - own) <= 1e-9 * own).all()


def test_influences_on_generated_samples_are_those_of_the_library(run: Path, data: Dataset) -> None:
    found, sizes = tables(run), preset("smoke", data)
    tracin = TracIn(Run.load(run / "models/elbo"), draws=sizes.influence_draws)
    want = tracin.influence_on_generated(sizes.generated, data)
    overall = found["scores/generated_influence"]
    assert (overall["index"] == data.index).all()
    scale = np.abs(want.scores).max()
    assert (np.abs(overall["influence"] - want.overall) <= 1e-6 * scale).all()
    assert (np.abs(overall["error"] - want.error) <= 1e-6 * scale).all()
    table = found["influence/generated"]
    mine = table[(table["index"] == 1) & (table["side"] == "opponent")]
    order = np.argsort(want.scores[1], kind="stable")[: sizes.kin]
    assert mine["train_index"].tolist() == data.index[order].tolist()
    pictures = read_unit(run / "generated.safetensors")[0]["pixels"]
    assert pictures.shape == (sizes.generated, 1, 8, 8)
    shown = set(read_unit(run / "images.safetensors")[0]["index"].tolist())
    assert set(table["train_index"]) <= shown
    assert {*overall.nlargest(6, "influence")["index"]} <= shown


def test_agreement_covers_six_models_on_the_same_folds(run: Path) -> None:
    table = tables(run)["tables/agreement"]
    names = {*table["a"], *table["b"]}
    assert names == {"elbo", "beta", "iwae", "kde", "knn", "gmm"}
    folds = {name: read_identity(run / "memorization" / name)["seed"] for name in names}
    assert set(folds.values()) == {0}
    held = {
        name: read_unit(run / f"memorization/{name}/units/repeat_00_fold_01.safetensors")[0]
        for name in names
    }
    assert all((unit["held_out"] == held["elbo"]["held_out"]).all() for unit in held.values())


def test_the_summary_names_what_was_run_and_found(run: Path, data: Dataset) -> None:
    facts = json.loads((run / "summary.json").read_text())
    score = tables(run)["scores/memorization"]["score"].to_numpy()
    assert facts["data"]["n"] == len(data) == 96
    assert facts["data"]["planted"]["outliers"] == data.index[data.planted["outliers"]].tolist()
    assert facts["quantiles"]["q95"][0] == quantile_interval(score, 0.95).value
    assert facts["quantiles"]["q99_9"][2] is None
    assert facts["planted_found"]["near_duplicates_named"] == 1.0
    assert 0 <= facts["planted_found"]["outliers_auc"] <= 1
    pairs = {tuple(pair[:2]) for pair in facts["duplicates"]}
    assert {(b, a) for a, b in data.planted["near_duplicates"].tolist()} <= pairs
    names = [stage["name"] for stage in facts["stages"]]
    assert names[0] == "neighbours"
    assert names[-1] == "images"
    assert all(stage["seconds"] >= 0 for stage in facts["stages"])
    assert any("no p-value can be below" in warning for warning in facts["warnings"])
    recipe = read_identity(run)
    assert recipe["recipe"]["objective"] == "elbo"
    assert recipe["data"]["fingerprint"] == data.fingerprint
    assert set(recipe["compared"]) == {"beta", "iwae"}


def test_every_sample_a_page_shows_has_its_picture(run: Path) -> None:
    arrays, _ = read_unit(run / "images.safetensors")
    held = set(arrays["index"].tolist())
    found = tables(run)
    facts = json.loads((run / "summary.json").read_text())
    chosen = found["influence/proponents"]["index"].unique()
    near = found["scores/neighbours"]
    near = near[near["index"].isin(chosen) & (near["rank"] <= 3)]
    assert set(chosen) | set(near["neighbour"]) <= held
    assert set(found["influence/proponents"]["train_index"]) <= held
    assert {end for pair in facts["duplicates"] for end in pair[:2]} <= held


def test_a_finished_audit_is_left_as_it_is(run: Path, data: Dataset) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file()}
    told = []
    with ThreadPoolExecutor(1) as pool:
        audit(data, run, "smoke", executor=pool, progress=lambda *step: told.append(step))
    assert before == {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file()}
    assert all(done == total for _, done, total in told)


@pytest.mark.parametrize(
    ("victim", "warned"),
    [
        ("scores/neighbours.parquet", ""),
        ("models/beta/models", "epoch_000002.json or its weights are gone"),
        ("memorization/knn/units/repeat_00_fold_01.safetensors", "repeat 0, fold 1 is made again"),
        ("tables/agreement.parquet", ""),
        ("summary.json", ""),
    ],
)
def test_what_is_lost_is_made_again(
    victim: str, warned: str, run: Path, data: Dataset, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "copy"))
    path = copy / victim
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with ThreadPoolExecutor(1) as pool:
        audit(data, copy, "smoke", executor=pool)
    assert_same(copy, run)
    new = [text for text in said(copy) if text not in said(run)]
    assert len(new) == bool(warned)
    assert all(warned in text for text in new)


def test_warnings_of_workers_reach_the_summary(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import genmem.training

    train, log_prob = genmem.training.train, genmem.training.log_prob

    def wary_train(recipe: Recipe, *args: Any, **options: Any) -> Run:
        warnings.warn(f"trained for {recipe.epochs} epochs by {recipe.seed}", stacklevel=1)
        return train(recipe, *args, **options)

    def wary_log_prob(model: Any, inputs: Any) -> Any:
        objective = inputs.recipe.objective
        if objective != "iwae":
            warnings.warn("scored strangely", RuntimeWarning, stacklevel=1)
        if objective != "elbo":
            warnings.warn("compared strangely", RuntimeWarning, stacklevel=1)
        return log_prob(model, inputs)

    monkeypatch.setattr(genmem.training, "train", wary_train)
    monkeypatch.setattr(genmem.training, "log_prob", wary_log_prob)
    with ThreadPoolExecutor(2) as pool:
        audit(data, tmp_path, "smoke", executor=pool)
    lines = said(tmp_path)
    sizes = preset("smoke", data)
    models, others = sizes.folds * sizes.repeats, sizes.folds * sizes.other_repeats
    assert f"scored strangely (in {models} of {models} models) (alike: beta)" in lines
    assert f"beta: compared strangely (in {others} of {others} models) (alike: iwae)" in lines
    assert sum("strangely" in line for line in lines) == 2
    assert "trained for 2 epochs by 0" in lines  # the stage of trainings
    few = [line for line in lines if "effective draws" in line]
    assert len(few) == 1
    assert few[0].endswith("(alike: beta, iwae)")
    assert len(lines) == len(set(lines))
    for victim in ("summary.json", "stages/train.json", "stages/memorization-beta.json"):
        (tmp_path / victim).unlink()
    monkeypatch.undo()
    with ThreadPoolExecutor(2) as pool:
        audit(data, tmp_path, "smoke", executor=pool)
    assert said(tmp_path) == lines


def test_another_run_is_refused_with_both_values(run: Path, data: Dataset) -> None:
    with pytest.raises(RunMismatchError, match=r"audit\.seed: 0 there, 1 now"):
        audit(data, run, "smoke", seed=1)
    with pytest.raises(RunMismatchError, match=r"audit\.preset: 'smoke' there, 'quick' now"):
        audit(data, run, "quick")
    other = load("digits", limit=90)
    with pytest.raises(RunMismatchError, match=r"data\.fingerprint: '.*' there, '.*' now"):
        audit(other, run, "smoke")


def test_hostile_input(data: Dataset, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="rows; at least 9 are wanted for 3 folds"):
        audit(data.take([0]), tmp_path, "smoke")
    with pytest.raises(ValueError, match="'huge' is not one of"):
        audit(data, tmp_path, "huge")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match=r"audit: cannot write to .*file: "):
        audit(data, tmp_path / "file", "smoke")


def test_rows_of_numbers_without_labels(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(40, 3))
    with ThreadPoolExecutor(1) as pool:
        audit(Dataset("numbers", rows), tmp_path, "smoke", executor=pool)
    table = tables(tmp_path)["scores/attributes"]
    assert "label" not in table
    assert read_unit(tmp_path / "images.safetensors")[0]["pixels"].shape[1:] == (1, 1, 3)


def test_large_data_take_the_closed_forms(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from genmem.density import GaussianKDE, NearestNeighborDensity
    from genmem.studies import comparison

    monkeypatch.setattr(comparison, "CROSS_VALIDATED_ROWS", 50)
    # Copies, which leave a k-NN density by the row without a finite influence.
    x = np.concatenate([data.x, np.repeat(data.x[:1], 6, axis=0)])
    data = Dataset("copies", x, y=np.concatenate([data.y, np.repeat(data.y[:1], 6)]))
    with ThreadPoolExecutor(1) as pool:
        audit(data, tmp_path, "smoke", executor=pool, threads=1)
    want = {
        "kde": GaussianKDE("loo", duplicates="group").fit(data.rows).self_influence(),
        "knn": NearestNeighborDensity(5, duplicates="distinct").fit(data.rows).self_influence(),
    }
    for name, values in want.items():
        table = pd.read_parquet(tmp_path / f"memorization/{name}/self_influence.parquet")
        assert np.isfinite(values).all()
        assert (table["self_influence"] == values).all(), name
    agreed = tables(tmp_path)["tables/agreement"]
    assert agreed["spearman"].notna().all()
    lines = said(tmp_path)
    assert any("self-influence of gmm is approximate" in text for text in lines)
    assert any("scores of kde, knn, gmm leave out one sample" in text for text in lines)


KILLED = """
import sys
from genmem.datasets import load, plant
from genmem.studies import audit
if __name__ == "__main__":
    data = plant(load("digits", limit=90), near_duplicates=0.03, outliers=0.03, seed=2)
    print("begins", flush=True)
    audit(data, sys.argv[1], "smoke", threads=2)
    print("finished")
"""


@pytest.mark.slow
def test_killed_at_random_moments_two_workers_end_with_the_tables_of_one(
    run: Path, tmp_path: Path
) -> None:
    script, out = tmp_path / "killed.py", tmp_path / "run"
    script.write_text(KILLED)
    moments = random.Random(time.time_ns())
    command = [sys.executable, str(script), str(out)]
    for _ in range(3):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as job:
            assert job.stdout is not None
            assert job.stdout.readline() == "begins\n"
            while not (out / "recipe.toml").exists():
                time.sleep(0.01)
            time.sleep(moments.uniform(0.1, 1.5))
            job.kill()
            assert job.stdout.read() == "", "the audit ended before it was killed"
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout == "begins\nfinished\n"
    assert_same(out, run)

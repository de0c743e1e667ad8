"""The comparison on 36 tables: its halves, splits, results on disk, and the arithmetic of its report."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from torch import nn

from benchmarks.comparison import __main__ as comparison
from benchmarks.comparison import images, methods, race, report, tables
from benchmarks.comparison.tables import CHOOSING, REPORTING, TABLES, Task
from benchmarks.real_data.sets import Split
from benchmarks.real_data.store import read_rows
from sk_ils import TeacherClassifier
from sk_ils._search.members import Members


@pytest.fixture
def folder(tmp_path):
    """A folder with a table of one nominal and two other columns, and a class with two rows."""
    rng = np.random.default_rng(0)
    y = np.array([0] * 2 + [1] * 299 + [3] * 299)
    frame = pd.DataFrame({"Husbands_occupation": rng.integers(1, 5, 600), "b": y + rng.normal(size=600)})
    frame.assign(c=rng.normal(size=600), target=y).to_csv(tmp_path / "cmc.tsv.gz", sep="\t", index=False)
    return tmp_path


def test_the_halves_have_18_tables_each_and_none_in_common():
    assert len(CHOOSING) == len(REPORTING) == 18
    assert not set(CHOOSING) & set(REPORTING)
    assert list(TABLES.values()) == sorted(TABLES.values())


def test_a_split_leaves_rare_classes_out_and_knows_categories(folder):
    task = tables.load_task("cmc", 0, folder)
    assert len(task.X_train) + len(task.X_test) == 598
    assert len(task.X_train) <= 420
    assert set(task.y_train) == set(task.y_test) == {0, 1}
    assert [str(kind) for kind in task.X_train.dtypes] == ["category", "float32", "float32"]
    assert not set(task.X_train.index) & set(task.X_test.index)
    X_train, X_test = methods.encoded(task)
    assert X_train.shape[1] == X_test.shape[1] == 4 + 2
    assert (X_train[:, :4].sum(axis=1) == 1).all()
    np.testing.assert_array_equal(X_train[:, 4], task.X_train["b"])


def test_seeds_give_other_splits_and_a_seed_the_same(folder):
    first, again, other = (tables.load_task("cmc", seed, folder) for seed in (0, 0, 1))
    assert first.X_train.index.equals(again.X_train.index)
    assert not first.X_train.index.equals(other.X_train.index)


def test_what_was_run_is_not_run_again(folder, tmp_path, monkeypatch):
    calls = []

    def method(task, seed):
        calls.append(seed)
        return methods.Prediction(np.full((len(task.y_test), 2), 0.5), np.full((len(task.y_train), 2), 0.5))

    monkeypatch.setattr(comparison, "METHODS", {"coin": method})
    monkeypatch.setattr(comparison, "warm_up", lambda name: None)
    words = ["--data-dir", str(folder), "--tables", "cmc", "--methods", "coin", "--seeds", "0", "1"]
    options = comparison.parse_arguments([*words, "--results", str(tmp_path / "results.csv")])
    comparison.run(options)
    comparison.run(options)
    assert calls == [0, 1]
    rows = read_rows(options.results)
    assert [float(row["log_loss"]) for row in rows] == pytest.approx([np.log(2)] * 2, rel=1e-5)
    assert [float(row["brier"]) for row in rows] == pytest.approx([0.5] * 2)
    assert float(rows[0]["out_of_fold_log_loss"]) == pytest.approx(np.log(2), rel=1e-5)


def test_an_unknown_method_is_refused(folder):
    options = comparison.parse_arguments(["--data-dir", str(folder), "--methods", "nonsense"])
    with pytest.raises(ValueError, match="No method's name has 'nonsense' in it"):
        comparison.run(options)


def test_ours_and_calibrated_rivals_give_probabilities():
    rng = np.random.default_rng(0)
    y = np.arange(90) % 3
    X = pd.DataFrame({"a": (y + rng.normal(size=90)).astype(np.float32), "b": pd.Categorical(y % 2)})
    task = Task(X, y, X, y)
    small = methods.ours(lambda seed: TeacherClassifier(max_epochs=1, random_state=seed, device="cpu"))
    for method in (small, methods.RIVALS["HistGradientBoosting, CCCV"]):
        proba = method(task, 0).proba
        assert proba.shape == (90, 3)
        np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-6)


def test_a_temperature_by_hand_takes_over_confidence_back():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(4000, 3))
    truth = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    y = (rng.random((4000, 1)) > truth.cumsum(axis=1)).sum(axis=1)
    sharp = truth**3 / (truth**3).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(methods.scaled(sharp[:2000], y[:2000], sharp), truth, atol=0.03)


def results(**losses):
    """Return results of methods by table and seed."""
    rows = [
        {"table": table, "seed": seed, "method": method, "log_loss": value}
        for method, by_table in losses.items()
        for table, values in by_table.items()
        for seed, value in enumerate(values)
    ]
    return pd.DataFrame(rows)


def test_a_ratio_is_the_geometric_mean_over_the_seeds_that_both_have():
    frame = results(a={"x": [2.0, 8.0], "y": [1.0, 1.0]}, b={"x": [1.0], "y": [2.0, 8.0]})
    np.testing.assert_allclose(report.log_ratios(frame, "a", "b"), [np.log(2), -np.log(4)])
    assert report.log_ratios(frame, "a", "c").empty
    assert report.comparison_cells(report.log_ratios(frame, "a", "c"))[0] == "not run"


def test_intervals_are_students_t():
    values = np.random.default_rng(0).normal(size=12)
    mean, low, high = report.t_interval(values)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (mean, low, high) == pytest.approx((values.mean(), expected.low, expected.high))
    assert report.percent(np.log(0.8)) == "-20.0 %"


def test_a_table_shows_geometric_means_and_leaves_out_what_was_not_run():
    frame = results(
        **{"CatBoost": {"soybean": [0.1, 0.4]}, report.ENSEMBLE: {"soybean": [0.3], "cmc": [0.9]}}
    )
    assert report.by_table(frame, "reporting") == [
        ["soybean", "0.3000", "", "", "0.2000", "", ""],
        ["cmc", "0.9000", "", "", "", "", ""],
    ]


def test_a_run_notes_its_command_once_and_its_versions(tmp_path):
    for command in ("first", "first", "second"):
        comparison.note_run(tmp_path / "results.csv", command)
    runs = json.loads((tmp_path / "results.json").read_text())
    assert [run["command"] for run in runs] == ["first", "second"]
    assert {"torch", "scikit-learn"} <= runs[0]["versions"].keys()


def test_images_are_drawn_by_class_and_what_was_run_is_not_run_again(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    official = Split(rng.random((100, 784)), np.arange(100) % 10, rng.random((30, 784)), np.arange(30) % 10)
    monkeypatch.setattr(images, "load_fashion", lambda folder: official)
    seen = []

    def measured(method, task, seed):
        assert task.network["module"] in images.NETWORKS.values()
        assert np.bincount(task.y_train).tolist() == [5] * 10
        assert len(task.X_test) == 30
        seen.append((method, seed))
        return {"log_loss": 0.5}

    monkeypatch.setattr(images, "measured", measured)
    words = ["--data-dir", "DIR", "--rows", "50", "--seeds", "0", "1"]
    options = images.parse_arguments([*words, "--results", str(tmp_path / "images.csv")])
    images.run(options)
    images.run(options)
    assert len(seen) == 2 * len(images.NETWORKS) * len(images.METHODS)
    assert set(images.METHODS) <= set(methods.OURS)


@pytest.mark.filterwarnings("ignore")
def test_a_tasks_network_reaches_every_method_of_ours():
    rng = np.random.default_rng(0)
    y = np.arange(60) % 3
    X = pd.DataFrame(rng.normal(size=(60, 4)).astype(np.float32))
    task = Task(X, y, X, y, {"module": Refusing, "max_epochs": 1})
    for name in (*images.METHODS, "one network, LS tuned +T", "one network, any rule tuned +T"):
        with pytest.raises(Exception, match="this network was asked for"):
            methods.OURS[name](task, 0)


class Refusing(nn.Module):
    """A network that says that it was asked for."""

    def __init__(self):
        super().__init__()
        raise ArithmeticError("this network was asked for")


def test_a_race_replayed_drops_what_is_behind_and_counts_the_fits():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(2, 3, 400))
    offsets = np.array([0.0, 0.02, 3.0])[:, None]
    losses = [1 + offsets + fold for fold in noise]
    best, everything = race.replayed(losses, None)
    assert best == np.concatenate(losses, axis=1).mean(axis=1).argmin()
    assert everything == 1
    winner, share = race.replayed(losses, 2.0)
    assert winner == best != 2
    assert share == pytest.approx(5 / 6)  # the last one has the first fold only
    # A limit of none below the best leaves one candidate after the first fold.
    first = losses[0].mean(axis=1).argmin()
    assert race.replayed(losses, 0.0) == (first, pytest.approx(4 / 6))


def test_a_race_is_what_the_search_does():
    rng = np.random.default_rng(1)
    losses = [rng.normal(1 + np.arange(6)[:, None] / 10, 1, size=(6, 50)) for _ in range(4)]
    members = Members(6, 200, None, racing=True)
    n_fits = 0
    for fold, own in enumerate(losses):
        test = np.arange(50 * fold, 50 * (fold + 1))
        for candidate in np.flatnonzero(members.is_running):
            members.add(candidate, None, own[candidate], test)
            n_fits += 1
        members.end_split(test)
    winner, share = race.replayed(losses, 1.0)
    assert members.is_running[winner]
    assert n_fits == round(share * 24) < 24

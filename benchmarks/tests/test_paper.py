"""The synthetic benchmark's own functions: teachers, choice, paired comparison, fitted curves."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.paper import __main__ as synthetic
from benchmarks.paper import tables
from sk_ils import InstanceSmoothedClassifier
from sk_ils.smoothing import ILS, NoSmoothing


@pytest.fixture(scope="module")
def experiment():
    return synthetic.Experiment(0, max_epochs=15)


def rule_at(temperature):
    return ILS(shift=0.8, curvature=2.0, temperature=temperature)


@pytest.mark.parametrize("true_teacher", [False, True])
def test_the_grid_is_trained_with_the_teacher_that_was_asked_for(true_teacher, monkeypatch):
    experiment = synthetic.Experiment(0, max_epochs=15, true_teacher=true_teacher)
    t_cal = 1.0 if true_teacher else experiment.teacher.temperature_
    monkeypatch.setattr(synthetic, "candidates", lambda t_cal: {"ILS": [rule_at(3.0 / t_cal)]})
    row = experiment.grid().iloc[0]
    train, test = experiment.train, experiment.test

    def loss(**teacher):
        clf = InstanceSmoothedClassifier(smoothing=rule_at(3.0 / t_cal), **experiment.parameters)
        clf.fit(train.X, train.y, **teacher)
        return -np.log(clf.predict_proba(test.X)[np.arange(len(test.y)), test.y]).mean()

    network, truth = loss(), loss(teacher_proba=train.posterior)
    asked, other = (truth, network) if true_teacher else (network, truth)
    assert row["CE +T"] == pytest.approx(asked, abs=1e-4)
    assert row["CE +T"] != pytest.approx(other, abs=1e-3)
    assert row["temperature"] == 3.0  # of raw teacher logits, as in the paper


def test_a_run_is_named_after_what_it_changes():
    def folder(*words):
        return synthetic.parse_arguments(words).out.name

    assert folder() == "paper_synthetic"
    assert folder("--teacher", "truth") == "paper_synthetic_truth"
    assert folder("--batch-size", "32") == "paper_synthetic_batch32"


def test_what_a_student_is_asked_for_replaces_the_experiments_own_training(experiment):
    early, late = (experiment.student(experiment.train.posterior, max_epochs=n) for n in (1, 60))
    assert late["CE"] < early["CE"]


def test_the_teacher_is_the_network_of_the_row_that_does_not_smooth(experiment):
    scores = experiment.search([NoSmoothing()], experiment.all_measures).iloc[0]
    own = experiment.all_measures(experiment.teacher, experiment.valid.X, experiment.valid.y)
    assert scores["CE +T"] == pytest.approx(own["CE +T"], abs=1e-5)


def test_each_form_is_chosen_by_its_own_validation_loss():
    frame = pd.DataFrame({"valid CE": [0.3, 0.2, 0.4], "valid CE +T": [0.3, 0.3, 0.1], "name": list("abc")})
    assert tables.choose(frame)["name"] == "b"
    assert tables.choose(frame, " +T")["name"] == "c"


def test_differences_are_paired_by_data_set():
    rng = np.random.default_rng(0)
    level = rng.normal(size=20)
    rows = pd.concat(
        pd.DataFrame({"data set": range(20), "method": name, "CE": level + shift})
        for name, shift in (("a", 0.0), ("b", 0.25))
    )
    table = tables.compare(rows.sample(frac=1, random_state=0), ["CE"], ["a"]).set_index("method")
    assert table.loc["b", "minus a"] == pytest.approx(0.25)
    assert table.loc["b", "se minus a"] == pytest.approx(0, abs=1e-12)
    assert table.loc["b", "se"] == pytest.approx(level.std(ddof=1) / 20**0.5)


def test_the_quadratic_behind_the_best_factors_is_found_again():
    bins = np.arange(tables.N_BINS)
    p = (bins + 0.5) / tables.N_BINS
    frame = pd.DataFrame({"limit": 0.2, "view": "v", "rows": "test", "bin": bins})
    frame["factor"] = np.minimum(2.0 * (p - 0.8) ** 2, 0.2)
    fit = tables.fitted_quadratics(frame).iloc[0]
    assert (fit["P1"], fit["P2"], fit["cap"]) == pytest.approx((0.8, 2.0, 0.2))
    assert fit["rmse"] == pytest.approx(0, abs=1e-9)

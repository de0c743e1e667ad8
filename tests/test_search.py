"""SmoothingSearchCV: GridSearchCV's numbers and vocabulary, from stacks of networks."""

import ast
import gc
import time
import warnings
import weakref
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin, clone
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import FitFailedWarning, NotFittedError
from sklearn.metrics import get_scorer, log_loss
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, PredefinedSplit
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.validation import check_is_fitted
from skorch.callbacks import EpochScoring
from torch import nn
from torch.utils.data import TensorDataset
from tqdm.std import tqdm

import sk_ils
from sk_ils import SmoothingSearchCV
from sk_ils._net.inputs import is_dataset
from sk_ils._search import candidates, stack
from sk_ils._sklearn_compat import InvalidParameterError
from sk_ils.metrics import CalibrationScorer
from sk_ils.model_selection import CrossFittedClassifier, default_param_grid
from sk_ils.smoothing import SmoothingRule

# Which candidate of these grids is the best says nothing.
pytestmark = pytest.mark.filterwarnings("ignore:The best candidate lies at the edge of the grid")

GRID = [
    {"smoothing": ["none"]},
    {"smoothing": ["uniform"], "smoothing__epsilon": [0.02, 0.1, 0.3]},
    {"smoothing": ["ils1"], "smoothing__shift": [0.7, 0.9], "smoothing__curvature": [0.5, 2.0]},
    {"smoothing": ["ils"], "smoothing__shift": [0.8], "smoothing__temperature": [1.0, 4.0]},
    {"smoothing": ["distillation"], "smoothing__weight": [0.3, 1.0]},
    {"smoothing": ["bootstrap"], "smoothing__beta": [0.7, 0.95]},
]
# Made here, since drawing weights in a test would move torch's global generator.
FIVE_OUTPUTS = nn.Linear(6, 5)
SMALL = {"smoothing": ["none", "uniform", "ils1"]}


class NormNet(nn.Module):
    """An MLP with BatchNorm, which has buffers, one of them of integers."""

    def __init__(self, n_features_in, n_classes):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(n_features_in, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Linear(12, n_classes)
        )

    def forward(self, X):
        return self.layers(X)


class DropNet(nn.Module):
    """An MLP with dropout."""

    def __init__(self, n_features_in, n_classes):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(n_features_in, 12), nn.Dropout(0.5), nn.Linear(12, n_classes))

    def forward(self, X):
        return self.layers(X)


class BranchingNet(nn.Module):
    """A network whose path depends on the data, which torch.func refuses."""

    def __init__(self, n_features_in, n_classes):
        super().__init__()
        self.layer = nn.Linear(n_features_in, n_classes)

    def forward(self, X):
        logits = self.layer(X)
        return logits if logits.sum() > 0 else 2 * logits


class Exploding(SmoothingRule):
    """A rule whose targets are infinite."""

    needs_teacher = False
    needs_student = True

    def torch_targets(self, y, logits):
        return torch.full_like(logits, torch.inf)

    def _smoothing_factor(self, true_class_proba):
        return true_class_proba


class Failing(SmoothingRule):
    """A rule that raises an error when it is asked for the `call`-th time; its clones count together."""

    needs_teacher = False
    needs_student = True
    calls: list = []  # noqa: RUF012

    def __init__(self, error=None, call=1, always=False):
        self.error = error
        self.call = call
        self.always = always

    def torch_targets(self, y, logits):
        self.calls.append(1)
        if len(self.calls) == self.call or self.always:
            raise self.error
        return torch.zeros_like(logits).scatter(1, y[:, None], 1.0)

    def _smoothing_factor(self, true_class_proba):
        return 0 * true_class_proba


@pytest.fixture(scope="module")
def rows(table):
    """Return rows for a hundred fits: with two folds and a hold-out, two batches of unequal size."""
    X, y = table
    return X[:150], y[:150]


def prefix_of(estimator):
    return f"{estimator.steps[-1][0]}__" if isinstance(estimator, Pipeline) else ""


def split_scores(search, metric="score"):
    return np.array([search.cv_results_[f"split{k}_test_{metric}"] for k in range(search.n_splits_)])


def assert_like_grid_search(estimator, grid, X, y, tolerance=1e-6, scoring="neg_log_loss", **params):
    ours = SmoothingSearchCV(estimator, grid, cv=2, scoring=scoring).fit(X, y, **params)
    with TemporaryDirectory() as folder:
        # One teacher a fold; test_teachers has it that a cached one changes no number.
        memory = f"{prefix_of(estimator)}memory"
        alone = clone(estimator).set_params(**{memory: folder})
        theirs = GridSearchCV(alone, grid, cv=2, scoring=scoring).fit(X, y, **params)
    assert ours.cv_results_["params"] == theirs.cv_results_["params"]
    np.testing.assert_allclose(split_scores(ours), split_scores(theirs), rtol=0, atol=tolerance)
    np.testing.assert_allclose(
        ours.predict_proba(X), theirs.best_estimator_.predict_proba(X), rtol=0, atol=10 * tolerance
    )
    return ours


# --- the numbers of GridSearchCV ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"module": NormNet},
        {"patience": 2, "max_epochs": 25, "lr": 0.05},
        {"optimizer": torch.optim.SGD, "optimizer__momentum": 0.9, "lr": 0.05},
        {"optimizer": torch.optim.RMSprop},
        {"optimizer": torch.optim.NAdam, "patience": 2, "max_epochs": 25, "lr": 0.05},
        {"optimizer__param_groups": [("*bias", {"lr": 0.1})]},
        {"train_split": None},
        {"temperature_scaling": False, "batch_size": -1},
        {"teacher": DummyClassifier(strategy="prior")},
        {"teacher_mode": "online"},
        {"iterator_train__prefetch_factor": None},
    ],
    ids=lambda parameters: "-".join(parameters) or "default",
)
def test_split_scores_equal_those_of_grid_search_in_float64(rows, student, parameters):
    assert_like_grid_search(student(dtype="float64", **parameters), GRID, *rows)


def test_split_scores_equal_those_of_grid_search_with_sample_weights(rows, student):
    X, y = rows
    weight = np.random.default_rng(0).uniform(0.1, 3, len(y))
    grid = [*GRID, {"smoothing": ["class"], "smoothing__epsilon": [0.1, 0.3]}]
    assert_like_grid_search(student(dtype="float64", patience=3), grid, X, y, sample_weight=weight)


def test_split_scores_equal_those_of_grid_search_with_teacher_probabilities(rows, student):
    X, y = rows
    proba = np.random.default_rng(0).dirichlet([1, 1, 1], len(y))
    assert_like_grid_search(student(dtype="float64"), GRID, X, y, teacher_proba=proba)


def test_split_scores_equal_those_of_grid_search_in_a_pipeline(rows, student):
    X, y = rows
    weight = np.random.default_rng(0).uniform(0.1, 3, len(y))
    pipeline = Pipeline([("scale", StandardScaler()), ("net", student(dtype="float64"))])
    grid = [{f"net__{name}": values for name, values in part.items()} for part in GRID]
    ours = assert_like_grid_search(pipeline, grid, X, y, net__sample_weight=weight)
    assert isinstance(ours.best_estimator_, Pipeline)

    def steps(estimator, X, y):
        assert list(estimator.named_steps) == ["scale", "net"]
        return 0.0

    SmoothingSearchCV(pipeline, grid, cv=2, scoring=steps, refit=False, error_score="raise").fit(X, y)
    # Without the step's name it goes to the classifier, too, and weighs the score.
    plain = SmoothingSearchCV(pipeline, grid, cv=2, scoring="neg_log_loss").fit(X, y, sample_weight=weight)
    np.testing.assert_array_equal(plain.predict_proba(X), ours.predict_proba(X))
    assert (split_scores(plain) != split_scores(ours)).all()


def test_split_scores_equal_those_of_grid_search_in_float32_over_ten_epochs(rows, student):
    estimator = student(max_epochs=10, lr=1e-3, module__hidden_sizes=(32, 32))
    assert_like_grid_search(estimator, GRID, *rows, tolerance=1e-4)


def test_parameters_besides_the_smoothing_are_searched_too(rows, student):
    grid = {
        "smoothing": ["none", "ils2"],
        "lr": [0.01, 0.03],
        "module__hidden_sizes": [[8], [9], (8, 8)],
        "max_epochs": [2, 5],
    }
    assert_like_grid_search(student(dtype="float64"), grid, *rows)


def test_preprocessing_is_searched_too(rows, student):
    pipeline = Pipeline([("scale", StandardScaler()), ("net", student(dtype="float64"))])
    grid = {"scale": [StandardScaler(), MinMaxScaler()], "net__smoothing": ["none", "uniform"]}
    assert_like_grid_search(pipeline, grid, *rows)


def test_images_are_searched_as_grid_search_does(student):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(120, 1, 4, 4)), np.arange(120) % 3
    with torch.random.fork_rng():
        conv = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3))
    assert_like_grid_search(student(module=conv, dtype="float64"), SMALL, X, y)


def test_the_size_of_a_stack_changes_no_score(table, student):
    estimator = student(dtype="float64", patience=2, max_epochs=15, lr=0.05)
    expected, *others = [
        split_scores(SmoothingSearchCV(estimator, GRID, cv=2, refit=False, max_parallel=size).fit(*table))
        for size in (None, 1, 3, 100)
    ]
    for scores in others:
        np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-9)


def test_a_candidate_stops_at_its_own_epoch_and_keeps_its_own_best_one(table, student):
    """With patience candidates leave the stack one after another; each must be what it is alone."""
    epochs = []

    def scorer(estimator, X, y):
        losses = estimator.history[:, "valid_loss"]
        epochs.append(len(losses))
        return {"epochs": len(losses), "best": min(losses), "temperature": estimator.temperature_}

    estimator = student(dtype="float64", patience=2, max_epochs=60, lr=0.05)
    searches = [
        search(estimator, GRID, cv=3, scoring=scorer, refit=False)
        for search in (SmoothingSearchCV, GridSearchCV)
    ]
    for search in searches:
        search.fit(*table)
    assert len(set(epochs)) > 3
    for metric in ("epochs", "best", "temperature"):
        np.testing.assert_allclose(
            split_scores(searches[0], metric), split_scores(searches[1], metric), atol=1e-6
        )


def test_stack_that_does_not_fit_into_memory_is_halved(table, student, monkeypatch):
    estimator = student(dtype="float64")
    whole = SmoothingSearchCV(estimator, GRID, cv=2, refit=False).fit(*table)
    train_stacked = candidates.train_stacked
    sizes = []

    def limited(net, chunk, *args):
        sizes.append(len(chunk))
        if len(chunk) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return train_stacked(net, chunk, *args)

    monkeypatch.setattr(candidates, "train_stacked", limited)
    halved = SmoothingSearchCV(estimator, GRID, cv=2, refit=False).fit(*table)
    assert max(sizes) > 4
    np.testing.assert_allclose(split_scores(whole), split_scores(halved), rtol=0, atol=1e-9)


def test_an_error_that_is_not_about_memory_is_raised_at_once(table, student):
    Failing.calls.clear()
    grid = {"smoothing": [Failing(RuntimeError("a bug"), always=True), "none", "uniform", "bootstrap"]}
    with pytest.raises(RuntimeError, match="a bug"):
        SmoothingSearchCV(student(), grid, cv=2, refit=False, error_score="raise").fit(*table)
    assert len(Failing.calls) == 1  # no smaller stack was tried


# --- seeds --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("random_state", [None, np.random.RandomState(0)])
def test_one_seed_is_drawn_for_the_whole_search(table, student, random_state):
    grid = [{"smoothing": ["none"]}, {"smoothing": ["uniform"], "smoothing__epsilon": [0.0]}]
    search = SmoothingSearchCV(student(random_state=random_state), grid, cv=2).fit(*table)
    scores = split_scores(search)
    np.testing.assert_allclose(scores[:, 0], scores[:, 1], atol=1e-6)
    assert isinstance(search.best_estimator_.random_state, int)


def test_dropout_differs_between_candidates_and_repeats_with_the_seed(table, student):
    grid = [{"smoothing": ["none"]}, {"smoothing": ["uniform"], "smoothing__epsilon": [0.0]}]
    searches = [SmoothingSearchCV(student(module=DropNet), grid, cv=2).fit(*table) for _ in range(2)]
    scores = split_scores(searches[0])
    assert (scores[:, 0] != scores[:, 1]).all()
    np.testing.assert_array_equal(scores, split_scores(searches[1]))


# --- what cannot be stacked ---------------------------------------------------------------------------


class Overriding:
    """Makes a subclass of the student with a method of its own."""

    @staticmethod
    def of(estimator):
        kind = type(estimator)

        class Custom(kind):
            def get_loss(self, y_pred, y_true, X=None, training=False):
                return 0.5 * super().get_loss(y_pred, y_true, X=X, training=training)

        return Custom(**estimator.get_params(deep=False))


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"module": BranchingNet}, "torch.func refuses the module"),
        ({"callbacks": [EpochScoring("accuracy")]}, "callbacks"),
        ({"optimizer": torch.optim.LBFGS, "optimizer__max_iter": 2, "max_epochs": 1}, "LBFGS"),
    ],
)
def test_what_cannot_be_stacked_is_trained_one_by_one_with_one_warning(table, student, parameters, reason):
    estimator = student(dtype="float64", **parameters)
    with pytest.warns(UserWarning, match=f"one by one.*{reason}") as caught:
        ours = SmoothingSearchCV(estimator, SMALL, cv=2, refit=False, scoring="neg_log_loss").fit(*table)
    assert sum("one by one" in str(warning.message) for warning in caught) == 1
    theirs = GridSearchCV(estimator, SMALL, cv=2, refit=False, scoring="neg_log_loss").fit(*table)
    np.testing.assert_allclose(split_scores(ours), split_scores(theirs), rtol=0, atol=1e-6)


def test_a_module_that_suits_no_way_of_training_is_not_blamed_on_torch_func(table, student):
    search = SmoothingSearchCV(student(module=FIVE_OUTPUTS), SMALL, cv=2)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "The candidates are trained one by one")
        with pytest.raises(ValueError, match="must return one logit per class"):
            search.fit(*table)


def test_overridden_training_method_is_not_passed_over(table, student):
    with pytest.warns(UserWarning, match="overrides get_loss"):
        SmoothingSearchCV(Overriding.of(student()), SMALL, cv=2, refit=False).fit(*table)


class Doubling(BaseEstimator):
    """A sampler as imbalanced-learn's are: rows of one class come twice."""

    def fit_resample(self, X, y):
        again = np.flatnonzero(y == y[0])
        return np.concatenate([X, X[again]]), np.concatenate([y, y[again]])


class ResamplingPipeline(Pipeline):
    """imbalanced-learn's Pipeline in short: training rows are resampled, those of predictions are not."""

    def fit(self, X, y):
        for _, step in self.steps[:-1]:
            X, y = step.fit_resample(X, y)
        self.steps[-1][1].fit(X, y)
        return self

    def predict_proba(self, X):
        return self.steps[-1][1].predict_proba(X)


def test_a_pipeline_with_a_sampler_is_searched_as_grid_search_does(table, student):
    estimator = ResamplingPipeline([("double", Doubling()), ("net", student(max_epochs=2))])
    grid = {"net__smoothing": ["none", "uniform"]}
    with pytest.warns(UserWarning, match=r"one by one.*resamples the rows"):
        assert_like_grid_search(estimator, grid, *table)


# --- failures -----------------------------------------------------------------------------------------


def test_candidate_with_an_infinite_loss_fails_alone(table, student):
    grid = {"smoothing": ["none", Exploding(), "uniform"]}
    with pytest.warns(FitFailedWarning, match="NonFiniteLossError"):
        search = SmoothingSearchCV(student(), grid, cv=2, error_score=-99.0).fit(*table)
    assert (search.cv_results_["mean_test_score"] == -99).tolist() == [False, True, False]
    with pytest.raises(ArithmeticError, match="train loss of epoch 1"):
        SmoothingSearchCV(student(), grid, cv=2, error_score="raise").fit(*table)


def test_parameter_out_of_range_fails_its_candidate_alone(table, student):
    grid = {"smoothing": ["ils1"], "smoothing__shift": [0.5, 7.0]}
    with (
        pytest.warns(FitFailedWarning, match="'shift' parameter"),
        pytest.warns(match="non-finite"),
    ):
        search = SmoothingSearchCV(student(), grid, cv=2).fit(*table)
    assert np.isnan(search.cv_results_["mean_test_score"]).tolist() == [False, True]
    assert (search.cv_results_["mean_score_time"] == 0).tolist() == [False, True]


def test_parameter_of_a_rule_that_is_asked_in_every_batch_is_checked_before(table, student):
    grid = {"smoothing": ["bootstrap"], "smoothing__beta": [0.9, 7.0]}
    with pytest.raises(InvalidParameterError, match="'beta' parameter"):
        SmoothingSearchCV(student(), grid, cv=2, error_score="raise").fit(*table)


def test_one_fitted_network_exists_at_a_time(table, student):
    seen = []

    def scorer(estimator, X, y):
        alive = [network for network in seen if network() is not None]
        seen.append(weakref.ref(estimator))
        return len(alive)

    gc.collect()
    search = SmoothingSearchCV(student(), GRID, cv=2, scoring=scorer, refit=False).fit(*table)
    assert split_scores(search).max() <= 1


def test_scorers_see_the_history_of_a_fit_alone(table, student):
    def columns(estimator, X, y):
        history = estimator.history
        seen.append((history[:, "epoch"], history[:, "train_loss"], history[:, "valid_loss"]))
        return 0.0

    seen = []
    SmoothingSearchCV(student(), SMALL, cv=2, scoring=columns, refit=False).fit(*table)
    stacked, seen = seen, []
    GridSearchCV(student(), SMALL, cv=2, scoring=columns, refit=False).fit(*table)
    for ours, theirs in zip(sorted(stacked), sorted(seen), strict=True):  # folds first, or candidates
        assert ours[0] == theirs[0]
        np.testing.assert_allclose(ours[1:], theirs[1:], rtol=1e-5)


def test_teacher_that_fails_fails_those_who_need_it(table, student):
    class Broken(ClassifierMixin, BaseEstimator):
        def fit(self, X, y):
            raise ValueError("broken teacher")

        def predict_proba(self, X):
            raise AssertionError

    search = SmoothingSearchCV(student(teacher=Broken()), SMALL, cv=2)
    with (
        pytest.warns(FitFailedWarning, match="broken teacher"),
        pytest.warns(match="non-finite"),
    ):
        search.fit(*table)
    assert np.isnan(search.cv_results_["mean_test_score"]).tolist() == [False, False, True]


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize(
    "metric", [sk_ils.metrics.expected_calibration_error, log_loss], ids=["ece", "log_loss"]
)
def test_a_metric_is_no_scorer(table, student, metric, several):
    scoring = {"score": metric, "accuracy": "accuracy"} if several else metric
    search = SmoothingSearchCV(student(), {"smoothing__epsilon": [0.1]}, scoring=scoring, refit="score")
    with pytest.raises(TypeError, match=rf"scorer\(estimator, X, y\).*make_scorer\({metric.__name__}"):
        search.fit(*table)
    assert not hasattr(search, "cv_results_")


def test_search_without_any_score_raises(table, student):
    with pytest.raises(ValueError, match="All the 3 fits failed"):
        SmoothingSearchCV(student(), {"smoothing": [Exploding()]}, cv=3).fit(*table)
    blind = SmoothingSearchCV(student(), SMALL, cv=2, scoring=lambda estimator, X, y: np.nan)
    with (
        pytest.raises(ValueError, match=r"All score values are nan.*`scoring` itself gave nan"),
        pytest.warns(match="non-finite"),
    ):
        blind.fit(*table)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("several", [False, True])
def test_the_first_error_of_a_search_without_any_score_is_named(table, student, several):
    def failing(estimator, X, y):
        raise MemoryError("no room for\nthe scores")

    scoring = {"a": failing} if several else failing
    search = SmoothingSearchCV(
        student(max_epochs=1), {"smoothing": ["none"]}, cv=2, scoring=scoring, refit="a" if several else True
    )
    with pytest.raises(ValueError, match=r"values are nan.*MemoryError: no room for the scores"):
        search.fit(*table)


@pytest.mark.parametrize("index", [2, -1, 0.5, "a"])
def test_a_refit_that_returns_no_index_of_a_candidate_is_refused(table, student, index):
    search = SmoothingSearchCV(
        student(max_epochs=1), {"smoothing": ["none", "uniform"]}, cv=2, refit=lambda results: index
    )
    with pytest.raises(ValueError, match=rf"an int from 0 to 1; got {index!r}"):
        search.fit(*table)


def test_ctrl_c_ends_the_search_and_leaves_it_unfitted(table, student, monkeypatch):
    search = SmoothingSearchCV(student(), SMALL, cv=2).fit(*table)
    valid_epoch = stack.Stack.valid_epoch
    calls = []

    def interrupted(self, batches):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return valid_epoch(self, batches)

    monkeypatch.setattr(stack.Stack, "valid_epoch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        search.fit(*table)
    assert not hasattr(search, "cv_results_")
    with pytest.raises(NotFittedError):
        search.predict(table[0])


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, ValueError])
@pytest.mark.parametrize("scoring", [None, ["accuracy", "neg_log_loss"]])
@pytest.mark.parametrize("place", ["refit", "choice"])
def test_a_search_that_does_not_come_to_its_end_is_not_fitted(
    table, student, monkeypatch, error, scoring, place
):
    def broken(*args, **kwargs):
        raise error

    search = SmoothingSearchCV(student(max_epochs=1), SMALL, cv=2, scoring=scoring, refit=False).fit(*table)
    search.set_params(refit="accuracy" if scoring else True)
    if place == "choice":
        search.set_params(refit=broken)
    else:
        monkeypatch.setattr(sk_ils.InstanceSmoothedClassifier, "fit", broken)
    with pytest.raises(error):
        search.fit(*table)
    with pytest.raises(NotFittedError):
        check_is_fitted(search)
    assert not [name for name in vars(search) if name.endswith("_")]


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_a_search_without_gradients_around_it_is_one_with_them(table, student, mode):
    search = SmoothingSearchCV(student(), SMALL, cv=2)
    alone = search.fit(*table).cv_results_["mean_test_score"]
    proba = search.predict_proba(table[0])
    with mode():
        search.fit(*table)
    np.testing.assert_array_equal(search.cv_results_["mean_test_score"], alone)
    np.testing.assert_array_equal(search.predict_proba(table[0]), proba)


@pytest.mark.parametrize(
    ("estimator", "match"),
    [(DummyClassifier(), "InstanceSmoothedClassifier"), (make_pipeline(DummyClassifier()), "Pipeline")],
)
def test_other_estimators_are_sent_to_grid_search(table, estimator, match):
    with pytest.raises(TypeError, match=match):
        SmoothingSearchCV(estimator).fit(*table)


@pytest.mark.parametrize("parameters", [{"max_parallel": 0}, {"cv": "five"}, {"refit": 1.5}])
def test_search_parameters_are_checked(table, student, parameters):
    with pytest.raises(ValueError, match=next(iter(parameters))):
        SmoothingSearchCV(student(), SMALL, **parameters).fit(*table)


# --- vocabulary ---------------------------------------------------------------------------------------


def test_results_have_the_keys_of_grid_search(table, student):
    start = time.perf_counter()
    searches = [
        kind(student(), SMALL, cv=3, scoring="neg_log_loss", return_train_score=True).fit(*table)
        for kind in (SmoothingSearchCV, GridSearchCV)
    ]
    seconds = time.perf_counter() - start
    ours, theirs = (search.cv_results_ for search in searches)
    assert set(ours) == set(theirs)
    for name in ("rank_test_score", "mean_test_score", "std_test_score", "mean_train_score"):
        np.testing.assert_allclose(ours[name], theirs[name], atol=1e-4)
    assert searches[0].best_params_ == searches[1].best_params_
    assert searches[0].best_score_ == ours["mean_test_score"][searches[0].best_index_]
    assert len(set(ours["mean_fit_time"])) == 1  # the stack's, shared out
    for name in ("mean_fit_time", "mean_score_time"):  # of one candidate: less than of all together
        assert (ours[name] > 0).all()
        assert (ours[name] < seconds).all()


def test_default_grid_asks_which_rule_and_how_much(table, student):
    search = SmoothingSearchCV(student(max_epochs=2), cv=2).fit(*table)
    rules = [params["smoothing"] for params in search.cv_results_["params"]]
    assert set(rules) >= {"none", "uniform", "ils1", "ils2", "ils"}
    assert (
        search.best_estimator_.smoothing_.get_params().items()
        >= {
            name.removeprefix("smoothing__"): value
            for name, value in search.best_params_.items()
            if name != "smoothing"
        }.items()
    )
    assert search.score(*table) == pytest.approx(search.scorer_(search.best_estimator_, *table))


def test_default_grid_is_prefixed_in_a_pipeline(table, student):
    pipeline = make_pipeline(StandardScaler(), student(max_epochs=1))
    search = SmoothingSearchCV(pipeline, cv=2).fit(*table)
    assert search.best_params_["instancesmoothedclassifier__smoothing"] in {
        g["smoothing"][0] for g in default_param_grid()
    }
    assert search.best_estimator_[0].mean_.shape == (6,)


def test_labels_and_columns_come_as_the_user_wrote_them(table, student):
    X, y = table
    frame = pd.DataFrame(X, columns=list("abcdef"))
    search = SmoothingSearchCV(student(), SMALL, cv=2).fit(frame, pd.Series(y))
    assert search.classes_.tolist() == ["ant", "bee", "cat"]
    assert search.feature_names_in_.tolist() == list("abcdef")
    assert set(search.predict(frame)) <= {"ant", "bee", "cat"}
    assert search.decision_function(frame).shape == (len(y), 3)
    assert search.n_features_in_ == 6


def test_several_metrics_and_refit_by_one_of_them_or_by_a_function(table, student):
    search = SmoothingSearchCV(student(), SMALL, cv=2, scoring=CalibrationScorer(), refit="neg_brier_score")
    search.fit(*table)
    assert search.multimetric_
    assert search.best_index_ == search.cv_results_["rank_test_neg_brier_score"].argmin()
    search = SmoothingSearchCV(
        student(), SMALL, cv=2, scoring=["accuracy", "neg_log_loss"], refit=lambda results: 2
    )
    assert search.fit(*table).best_params_ == {"smoothing": "ils1"}
    assert not hasattr(search, "best_score_")
    with pytest.raises(ValueError, match="refit"):
        SmoothingSearchCV(student(), SMALL, cv=2, scoring=["accuracy", "neg_log_loss"]).fit(*table)


def test_without_refit_there_is_no_estimator(table, student):
    search = SmoothingSearchCV(student(), SMALL, cv=2, refit=False).fit(*table)
    assert search.best_params_["smoothing"] in SMALL["smoothing"]
    assert not hasattr(search, "best_estimator_")
    assert not hasattr(search, "predict")


@pytest.mark.parametrize(
    "cv", [PredefinedSplit([-1] * 160 + [0] * 80), [(np.arange(120), np.arange(120, 240))]]
)
def test_any_splitter_will_do(table, student, cv):
    search = SmoothingSearchCV(student(), SMALL, cv=cv).fit(*table)
    assert search.n_splits_ == 1


def test_class_that_a_training_part_lacks_is_clipped_with_one_warning(table, student):
    X, y = table[0], np.repeat(["ant", "bee", "cat"], 80)  # each fold is about one class
    with pytest.warns(UserWarning, match="no row of class") as caught:
        search = SmoothingSearchCV(student(max_epochs=1), SMALL, cv=KFold(3), refit=False).fit(X, y)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    np.testing.assert_allclose(split_scores(search), np.log(1e-7))


def test_labels_that_the_estimator_does_not_know_have_no_default_score(table, student):
    X, y = table
    search = SmoothingSearchCV(student(max_epochs=1), SMALL, cv=2).fit(X, y)
    known = np.unique(y)
    codes = np.searchsorted(known, y)
    for labels in codes, np.where(y == "ant", "emu", y):
        with pytest.raises(ValueError, match="not among the classes") as error:
            search.score(X, labels)
        assert f"{np.unique(labels).tolist()}" in str(error.value)
        assert f"{known.tolist()}" in str(error.value)
    with pytest.raises(ValueError, match="y contains NaN, None or NA"):
        search.score(X, np.where(y == "ant", None, y))
    assert search.score(X[y != "bee"], y[y != "bee"]) == pytest.approx(
        -log_loss(y[y != "bee"], search.predict_proba(X[y != "bee"]), labels=known)
    )


@pytest.mark.parametrize("scoring", [None, "accuracy"])
def test_a_dataset_brings_the_labels_of_its_score(table, student, scoring):
    X, y = table
    codes = np.unique(y, return_inverse=True)[1]
    search = SmoothingSearchCV(student(max_epochs=1), SMALL, cv=2, scoring=scoring).fit(X, codes)
    dataset = torch.utils.data.TensorDataset(torch.as_tensor(X, dtype=torch.float32), torch.as_tensor(codes))
    assert search.score(dataset) == pytest.approx(search.score(X, codes))


@pytest.mark.parametrize("scale", [1e-40, 0.1, 1e40, 1e300])
def test_scale_of_the_weights_changes_neither_choice_nor_score(table, student, scale):
    X, y = table
    weight = np.random.default_rng(0).exponential(size=len(y))
    fits = [
        SmoothingSearchCV(student(dtype="float64", max_epochs=3), SMALL, cv=2).fit(X, y, sample_weight=w)
        for w in (weight, scale * weight)
    ]
    np.testing.assert_allclose(split_scores(fits[0]), split_scores(fits[1]), rtol=1e-4)
    assert fits[0].best_params_ == fits[1].best_params_
    for name in "temperature_", "teacher_temperature_":
        values = [getattr(search.best_estimator_, name) for search in fits]
        assert values[0] == pytest.approx(values[1], rel=3e-4)
    np.testing.assert_allclose(*(search.predict_proba(X) for search in fits), rtol=1e-3)


def test_default_score_is_the_negative_log_loss(table, student):
    ours, theirs = (
        split_scores(SmoothingSearchCV(student(), SMALL, cv=2, scoring=scoring, refit=False).fit(*table))
        for scoring in (None, "neg_log_loss")
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


# --- once a fold --------------------------------------------------------------------------------------


class CountingScaler(TransformerMixin, BaseEstimator):
    """Counts its fits in a list that its clones share."""

    calls: list = []  # noqa: RUF012

    def fit(self, X, y=None):
        self.calls.append(len(X))
        self.fitted_ = True
        return self

    def transform(self, X):
        return np.asarray(X)


class CountingTeacher(DummyClassifier):
    """Counts its fits in a list that its clones share."""

    calls: list = []  # noqa: RUF012

    def fit(self, X, y, sample_weight=None):
        self.calls.append(len(X))
        return super().fit(X, y, sample_weight)


def test_preprocessing_and_teacher_are_fitted_once_a_fold(table, student):
    CountingScaler.calls.clear()
    CountingTeacher.calls.clear()
    pipeline = Pipeline([("scale", CountingScaler()), ("net", student(teacher=CountingTeacher()))])
    grid = {"net__smoothing": ["none", "ils1", "ils2", "ils"], "net__lr": [0.01, 0.02]}
    SmoothingSearchCV(pipeline, grid, cv=3, refit=False).fit(*table)
    assert CountingScaler.calls == [160] * 3
    assert CountingTeacher.calls == [128] * 6  # lr may be anything to a teacher: one in each of two stacks


def test_bar_shows_folds_candidates_and_epochs_if_asked(table, student, capfd):
    search = SmoothingSearchCV(student(), SMALL, cv=2, refit=False)
    search.fit(*table)
    assert capfd.readouterr() == ("", "")
    search.set_params(verbose=1).fit(*table)
    text = capfd.readouterr().err
    assert f"fold 2/2, candidates {len(SMALL['smoothing'])}: 100%" in text
    assert "10/10 epochs" in text


@pytest.fixture
def shares(monkeypatch):
    """Return a list that notes after every step which share of its way the bar has gone."""
    noted = []
    update = tqdm.update

    def noting(bar, n=1):
        shown = update(bar, n)
        noted.append(bar.n / bar.total)
        return shown

    monkeypatch.setattr(tqdm, "update", noting)
    return noted


OUT_OF_MEMORY = torch.OutOfMemoryError("CUDA out of memory.")


@pytest.mark.parametrize(
    ("parameters", "rules", "max_parallel"),
    [
        ({}, [], None),
        ({}, [], 2),
        ({}, [Failing(OUT_OF_MEMORY)], None),
        ({}, [Failing(OUT_OF_MEMORY)], 3),
        ({"patience": 2, "max_epochs": 60, "lr": 0.05}, [], None),
        ({"patience": 2, "max_epochs": 60, "lr": 0.05}, [], 2),
        ({}, [Failing(OUT_OF_MEMORY, call=20)], None),
        ({"callbacks": [EpochScoring("accuracy")]}, [], None),
    ],
    ids=[
        "one stack",
        "stacks of 2",
        "halved",
        "stacks of 3, halved",
        "patience",
        "patience, stacks of 2",
        "halved in a later epoch",
        "one by one",
    ],
)
@pytest.mark.filterwarnings("ignore:The candidates are trained one by one")
def test_the_bar_goes_forward_to_exactly_100_percent(table, student, shares, parameters, rules, max_parallel):
    Failing.calls.clear()
    grid = {"smoothing": ["none", "uniform", "ils1", "bootstrap", *rules]}
    search = SmoothingSearchCV(
        student(**parameters), grid, cv=2, refit=False, max_parallel=max_parallel, verbose=1
    )
    search.fit(*table)
    assert (np.diff([0, *shares]) >= 0).all()
    assert max(shares) == shares[-1] == pytest.approx(1, abs=1e-9)
    assert bool(Failing.calls) == bool(rules)


class Unfittable(StandardScaler):
    """A step that fails."""

    def fit(self, X, y=None, sample_weight=None):
        raise ValueError("unfittable")


def test_the_bar_reaches_its_end_where_candidates_fail_before_their_training(table, student, shares):
    pipeline = Pipeline([("scale", StandardScaler()), ("net", student())])
    grid = {"scale": [StandardScaler(), Unfittable()], "net__smoothing": ["none", "uniform"]}
    search = SmoothingSearchCV(pipeline, grid, cv=2, refit=False, verbose=1)
    with pytest.warns(FitFailedWarning, match="unfittable"), pytest.warns(match="non-finite"):
        search.fit(*table)
    assert shares[-1] == pytest.approx(1, abs=1e-9)
    assert np.isnan(search.cv_results_["mean_test_score"]).tolist() == [False, True, False, True]


# --- metadata -----------------------------------------------------------------------------------------


def test_groups_reach_splitter_and_hold_out(table, student):
    X, y = table
    groups = np.arange(len(y)) // 4
    seen = []

    def holding_out(dataset, y, groups=None):
        seen.append(groups)
        return dataset, None

    search = SmoothingSearchCV(student(train_split=holding_out), SMALL, cv=GroupKFold(2), refit=False)
    search.fit(X, y, groups=groups)
    splits = GroupKFold(2).split(X, y, groups)
    for got, (train, _) in zip(seen, splits, strict=True):
        np.testing.assert_array_equal(got, groups[train])


@pytest.mark.filterwarnings("ignore:The groups parameter is ignored")
@pytest.mark.parametrize("ensemble", [False, True])
def test_splits_that_cut_groups_are_told_with_what_to_pass(table, student, ensemble):
    X, y = table
    search = SmoothingSearchCV(student(max_epochs=1), SMALL, cv=2, ensemble=ensemble, refit=ensemble)
    with pytest.warns(UserWarning, match=r"both sides of a split.*cv=StratifiedGroupKFold\(2\)"):
        search.fit(X, y, groups=np.arange(len(y)) // 4)
    with pytest.warns(UserWarning, match="both sides of a split"):
        CrossFittedClassifier(student(max_epochs=1), cv=2).fit(
            X, y, groups=[f"{i // 4}" for i in range(len(y))]
        )


@pytest.mark.usefixtures("routing")
def test_routed_metadata_goes_where_it_was_requested(table, student):
    X, y = table
    weight = np.random.default_rng(0).uniform(0.1, 3, len(y))
    scoring = get_scorer("neg_log_loss").set_score_request(sample_weight=True)
    net = student(dtype="float64").set_fit_request(sample_weight=True, groups=False, teacher_proba=False)
    scaler = StandardScaler().set_fit_request(sample_weight=True)
    for estimator, prefix in ((net, ""), (Pipeline([("scale", scaler), ("net", net)]), "net__")):
        grid = {f"{prefix}smoothing": ["none", "uniform", "ils"]}
        assert_like_grid_search(estimator, grid, X, y, scoring=scoring, sample_weight=weight)
        by_default = SmoothingSearchCV(estimator, grid, cv=3).fit(X, y, sample_weight=weight)
        ours = SmoothingSearchCV(estimator, grid, cv=3, scoring=scoring).fit(X, y, sample_weight=weight)
        np.testing.assert_allclose(split_scores(by_default), split_scores(ours), rtol=1e-12)


def test_unknown_metadata_is_refused(table, student):
    X, y = table
    with pytest.raises(TypeError, match="sample_wieght"):
        SmoothingSearchCV(student(), SMALL, cv=2, error_score="raise").fit(
            X, y, sample_wieght=np.ones(len(y))
        )
    pipe = make_pipeline(StandardScaler(), student())
    with pytest.raises(ValueError, match=r"fit got 'nonsense__x'.* with the steps standardscaler, "):
        SmoothingSearchCV(pipe, cv=2).fit(X, y, nonsense__x=3)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_what_has_no_rows_to_index_is_made_dense_or_refused(table, student):
    X, y = table
    search = SmoothingSearchCV(student(max_epochs=1), {"smoothing": ["none", "uniform"]}, cv=2)
    plain = split_scores(search.fit(X, y))
    np.testing.assert_array_equal(split_scores(search.fit(torch.tensor(X).to_sparse(), y)), plain)
    for odd, message in ((None, "requires X"), (torch.nested.nested_tensor([]), "cannot be read as numbers")):
        with pytest.raises(ValueError, match=message):
            search.fit(odd, y)


def test_dataset_is_searched_like_its_arrays(table, student):
    X, y = table
    codes = np.unique(y, return_inverse=True)[1]
    dataset = TensorDataset(torch.tensor(X), torch.tensor(codes))
    assert is_dataset(dataset)
    estimator = student(dtype="float64")
    half = np.arange(len(y)) % 2 == 0
    masks = [(half, ~half), (~half, half)]
    indices = [(np.flatnonzero(train), np.flatnonzero(test)) for train, test in masks]
    from_dataset = SmoothingSearchCV(estimator, SMALL, cv=masks).fit(dataset)
    from_arrays = SmoothingSearchCV(estimator, SMALL, cv=indices).fit(X, codes)
    np.testing.assert_allclose(split_scores(from_dataset), split_scores(from_arrays), atol=1e-9)
    piped = SmoothingSearchCV(make_pipeline(StandardScaler(), estimator), cv=2, error_score="raise")
    with pytest.raises(TypeError, match="before the classifier, standardscaler, got a torch Dataset"):
        piped.fit(dataset)


# --- contract -----------------------------------------------------------------------------------------


def test_search_is_an_estimator_for_scikit_learn(student):
    grid = {"smoothing": ["none", "ils1"]}
    search = SmoothingSearchCV(student(max_epochs=5), grid, cv=2, error_score="raise")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(search, on_fail=None, on_skip=None)
    failed = {result["check_name"]: result["exception"] for result in results if result["status"] == "failed"}
    assert not failed
    assert sum(result["status"] == "passed" for result in results) >= 50


def test_search_is_cloned_with_its_parameters(student):
    search = SmoothingSearchCV(student(), SMALL, cv=4, max_parallel=7)
    assert clone(search).get_params()["max_parallel"] == 7
    assert "cv=4" in repr(search)


# --- structure ----------------------------------------------------------------------------------------


def test_search_uses_no_private_name_of_an_estimator():
    root = Path(sk_ils.__file__).parent
    private = [
        f"{file.name}:{node.lineno} {ast.unparse(node)}"
        for file in [*(root / "_search").glob("*.py"), root / "model_selection.py"]
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not node.attr.startswith("__")
        # A class may use its own, and scikit-learn's base class of a search.
        and not (isinstance(node.value, ast.Name) and node.value.id in ("self", "BaseSearchCV"))
        and ast.unparse(node.value) != "super()"
    ]
    assert private == []


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"param_grid": []}, "param_grid holds no candidate"),
        ({"param_grid": {1: [2]}}, "param_grid must name parameters by strings, got 1"),
        ({"cv": []}, "cv must give pairs .* at least one"),
        ({"cv": [1, 2]}, r"cv must give pairs \(train, test\) of indices of the 240 rows; got \[1, 2\]"),
        ({"cv": [([0, 1], [999])]}, "cv must give pairs .*999"),
        ({"cv": [([0.5], [1.5])]}, "cv must give pairs"),
        ({"cv": [([0, 1], [2], 3)]}, "cv must give pairs .*too many values"),
        ({"cv": [(1, 2)]}, "cv must give pairs .*has no len"),
        (
            {"cv": [(np.arange(200), np.arange(0))]},
            r"with rows in both; it gives \(train, test\) of \[\(200, 0\)\]",
        ),
    ],
)
def test_odd_grids_and_splits_are_refused_by_name_and_change_nothing(table, student, parameters, message):
    search = SmoothingSearchCV(student(max_epochs=1), SMALL, cv=2).fit(*table)
    best = search.best_params_
    with pytest.raises((ValueError, TypeError), match=message):
        search.set_params(**parameters).fit(*table)
    assert search.best_params_ == best

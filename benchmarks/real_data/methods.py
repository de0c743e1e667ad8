"""The methods of the real-data benchmark: candidates, their selection on the training part, test metrics.

Nothing here knows of tables or files: a `Split` and the network's parameters in, rows of results out.
"""

import json
from time import perf_counter
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp
from sklearn.base import clone
from sklearn.metrics import brier_score_loss
from sklearn.model_selection import GridSearchCV, StratifiedKFold, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from skorch.dataset import Dataset
from skorch.helper import predefined_split

from benchmarks.real_data.rivals import BetaSmoothedClassifier
from sk_ils import InstanceSmoothedClassifier
from sk_ils.metrics import classwise_calibration_error, expected_calibration_error
from sk_ils.model_selection import SmoothingSearchCV
from sk_ils.smoothing import (
    ILS,
    ILS1,
    ILS2,
    ClassSmoothing,
    NoSmoothing,
    SelfDistillation,
    SoftBootstrap,
    UniformSmoothing,
)
from sk_ils.temperature import fit_temperature, log_softmax

#: As the paper's grids, and beyond: to larger smoothing factors, and to a lower P1 for less certain teachers.
EPSILONS = (0.01, 0.05, 0.1, 0.2, 0.3)
SHIFTS, CURVATURES, TEMPERATURES = (0.7, 0.85, 1.0), (0.5, 1.0, 2.0), (1.0, 4.0)
ILS2_TEMPERATURES = (1.0, 3.0, 9.0)
TEACHER_FOLDS = 3
N_MEMBERS = 5

#: Name, in the paper's words, of each method that is a rule.
NAMES = {
    NoSmoothing: "No LS",
    UniformSmoothing: "LS",
    ILS1: "ILS1",
    ILS2: "ILS2",
    ILS: "ILS",
    SelfDistillation: "Dis",
    SoftBootstrap: "BS_soft",
    ClassSmoothing: "cLS",
}
METRICS = ("accuracy", "cross_entropy", "brier", "ece", "cwece")
#: A method's two forms and how its candidate is chosen: by the cross-entropy of the same form.
FORMS = {"": "raw", " +T": "scaled"}


def ils2_candidates():
    """Return the rules ILS2 is chosen from."""
    return [ILS2(epsilon=e, temperature=T) for e in EPSILONS for T in ILS2_TEMPERATURES]


def ils_candidates():
    """Return the rules ILS is chosen from."""
    return [
        ILS(shift=a, curvature=c, temperature=T) for a in SHIFTS for c in CURVATURES for T in TEMPERATURES
    ]


def candidates():
    """Return the parameter grid with the candidates of all rules: 61 with a common teacher and 5 of cLS."""
    rules = [
        NoSmoothing(),
        *(UniformSmoothing(epsilon=e) for e in EPSILONS),
        *(ILS1(shift=a, curvature=c) for a in SHIFTS for c in CURVATURES),
        *ils2_candidates(),
        *ils_candidates(),
        *(SelfDistillation(weight=w, temperature=T) for w in (0.3, 0.6, 0.9) for T in (1.0, 2.0, 4.0)),
        *(SoftBootstrap(beta=b) for b in (0.7, 0.8, 0.9, 0.95)),
    ]
    by_class = [ClassSmoothing(epsilon=e) for e in EPSILONS]
    return [{"net__smoothing": rules}, {"net__smoothing": by_class, "net__teacher_cv": [TEACHER_FOLDS]}]


#: Mean smoothing factors of .03, .06 and .15.
BETA_GRID = [
    {"net__concentration": [9.0], "net__weight": [0.3, 0.6]},
    {"net__concentration": [3.0], "net__weight": [0.6]},
]


def model_of(net, *, scale=True):
    """Return a pipeline of standardisation and a network."""
    return Pipeline([("scale", StandardScaler() if scale else "passthrough"), ("net", net)])


# --- metrics ----------------------------------------------------------------------------------------------


def log_probabilities(model, X):
    """Return a fitted model's log-probabilities, {"raw": before, "scaled": after temperature scaling}."""
    scaled = model.decision_function(X)
    return {"raw": log_softmax(scaled * model[-1].temperature_), "scaled": scaled}


def cross_entropy(log_proba, y):
    """Return the mean cross-entropy in nats; no probability is floored."""
    return -log_proba[np.arange(len(y)), y].mean()


def neg_cross_entropies(model, X, y):
    """Score a model for the searches: {"raw": .., "scaled": ..}, more is better."""
    return {form: -cross_entropy(z, y) for form, z in log_probabilities(model, X).items()}


def metrics_of(log_proba, y):
    """Return the test metrics of log-probabilities (n, K) for classes y (n,)."""
    proba, labels = np.exp(log_proba), np.arange(log_proba.shape[1])
    return {
        "accuracy": (log_proba.argmax(axis=1) == y).mean(),
        "cross_entropy": cross_entropy(log_proba, y),
        "brier": brier_score_loss(y, proba, labels=labels, scale_by_half=False),
        "ece": expected_calibration_error(y, proba, labels=labels),
        "cwece": classwise_calibration_error(y, proba, labels=labels),
    }


def scores_on_test(model, X, y):
    """Score a model on test rows: the metrics of both forms, and its temperature."""
    scores = {"temperature": model[-1].temperature_}
    for form, z in log_probabilities(model, X).items():
        scores |= {f"{form}_{name}": value for name, value in metrics_of(z, y).items()}
    return scores


# --- rows of results --------------------------------------------------------------------------------------


def described(params):
    """Return a candidate's parameters as JSON: the rule's name, its parameters, others of the network."""
    others = {name.removeprefix("net__"): value for name, value in params.items()}
    rule = others.pop("smoothing", None)
    own = {} if rule is None else {"rule": type(rule).__name__, **rule.get_params()}
    return json.dumps(own | others)


def parameters_of(text):
    """Return the candidate's parameters that `described` wrote."""
    params = json.loads(text)
    kinds = {kind.__name__: kind for kind in NAMES}
    kind = kinds.get(params.pop("rule", None))
    if kind is not None:
        params["smoothing"] = kind(**{name: params.pop(name) for name in kind().get_params()})
    return {f"net__{name}": value for name, value in params.items()}


def row_of(method, params, metrics, **others):
    """Return one row of results; `others` are columns that not every row has."""
    return {"method": method, "params": params, **{name: metrics[name] for name in METRICS}, **others}


def rows_of_scores(method, params, scores, forms, **others):
    """Return the rows of a network scored by `scores_on_test`, one for each form for which it was chosen."""
    return [
        row_of(
            method + suffix,
            described(params),
            {name: scores[f"{FORMS[suffix]}_{name}"] for name in METRICS},
            temperature=scores["temperature"] if suffix else 1.0,
            **others,
        )
        for suffix in forms
    ]


# --- selection and evaluation -----------------------------------------------------------------------------


def inner_folds(n_splits, seed):
    """Return the folds of the training part on which candidates are compared."""
    return StratifiedKFold(n_splits, shuffle=True, random_state=seed)


def name_of(params):
    """Return the method that a candidate belongs to."""
    return NAMES[type(params["net__smoothing"])]


def winners(results, name_of=name_of):
    """Return {(method, suffix): parameters} of each method's and form's best candidate in `cv_results_`."""
    best = {}
    for suffix, form in FORMS.items():
        for params, score in zip(results["params"], results[f"mean_test_{form}"], strict=True):
            key = name_of(params), suffix
            if key not in best or score > best[key][1]:
                best[key] = params, score
    return {key: params for key, (params, _) in best.items()}


def select(split, model, grid, cv, name_of=name_of):
    """Return the winners among the candidates of a grid, compared on folds of the training part."""
    search = SmoothingSearchCV(model, grid, cv=cv, scoring=neg_cross_entropies, refit=False)
    return winners(search.fit(split.X_train, split.y_train).cv_results_, name_of)


def evaluate(split, model, chosen):
    """Train the chosen candidates on the training part, all at once, and return their rows of test metrics.

    Parameters
    ----------
    split : Split
    model : pipeline
    chosen : dict
        {(method, suffix): parameters}, as `winners` returns them.
    """
    distinct = {}
    for (method, suffix), params in chosen.items():
        distinct.setdefault((method, described(params)), (params, []))[1].append(suffix)
    scores = scores_of(split, model, [params for params, _ in distinct.values()])
    rows = []
    for (method, _), (params, suffixes), own in zip(distinct, distinct.values(), scores, strict=True):
        rows += rows_of_scores(method, params, own, suffixes)
    return rows


def scores_of(split, model, candidates, scoring=scores_on_test):
    """Return the test scores of each candidate, all trained on the training part at once.

    A search over a single "fold", training part against test part: nothing is selected by it.
    """
    n_train, n_test = len(split.y_train), len(split.y_test)
    search = SmoothingSearchCV(
        model,
        [{name: [value] for name, value in params.items()} for params in candidates],
        cv=[(np.arange(n_train), np.arange(n_train, n_train + n_test))],
        scoring=scoring,
        refit=False,
    )
    search.fit(np.concatenate([split.X_train, split.X_test]), np.concatenate([split.y_train, split.y_test]))
    prefix = "mean_test_"
    columns = {n.removeprefix(prefix): v for n, v in search.cv_results_.items() if n.startswith(prefix)}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def smoothing_rows(split, model, cv, *, test_all):
    """Return the rows of all methods that are rules, and those of the scaled form of every candidate.

    The second kind of rows tells what a fixed setting, or a search of several rules, would have given. No row
    of a method is chosen by it. Without `test_all` only winners are tested, and there are no such rows.
    """
    search = SmoothingSearchCV(model, candidates(), cv=cv, scoring=neg_cross_entropies, refit=False)
    search.fit(split.X_train, split.y_train)
    if not test_all:
        return evaluate(split, model, winners(search.cv_results_)), []
    every = search.cv_results_["params"]
    scores = {
        described(params): own for params, own in zip(every, scores_of(split, model, every), strict=True)
    }
    chosen = [
        row
        for (method, suffix), params in winners(search.cv_results_).items()
        for row in rows_of_scores(method, params, scores[described(params)], [suffix])
    ]
    settings = [
        row
        for params, cv_score in zip(every, search.cv_results_["mean_test_scaled"], strict=True)
        for row in rows_of_scores(
            name_of(params), params, scores[described(params)], [" +T"], cv_cross_entropy=-cv_score
        )
    ]
    return chosen, settings


def beta_rows(split, model, cv):
    """Return the rows of Beta smoothing, whose candidates are trained one by one."""
    search = GridSearchCV(model, BETA_GRID, cv=cv, scoring=neg_cross_entropies, refit=False)
    chosen = winners(search.fit(split.X_train, split.y_train).cv_results_, lambda params: "Beta")
    rows = []
    for (method, suffix), params in chosen.items():
        start = perf_counter()
        fitted = clone(model).set_params(**params).fit(split.X_train, split.y_train)
        seconds = perf_counter() - start
        scores = scores_on_test(fitted, split.X_test, split.y_test)
        rows += rows_of_scores(method, params, scores, [suffix], seconds=seconds)
    return rows


class KnownHoldout(NamedTuple):
    """Scaled features of the rows that are trained on, of those that are held out, and of the test."""

    X_fit: np.ndarray
    y_fit: np.ndarray
    X_valid: np.ndarray
    y_valid: np.ndarray
    X_test: np.ndarray


def with_common_holdout(split, model, seed):
    """Return the rows of a split with a hold-out that is known outside, and the network that holds it out."""
    scaler, net = model[:-1].fit(split.X_train), model[-1]
    X_fit, X_valid, y_fit, y_valid = train_test_split(
        scaler.transform(split.X_train),
        split.y_train,
        test_size=net.train_split,
        stratify=split.y_train,
        random_state=seed,
    )
    held_out = predefined_split(Dataset(X_valid, y_valid))
    known = KnownHoldout(X_fit, y_fit, X_valid, y_valid, scaler.transform(split.X_test))
    return known, clone(net).set_params(train_split=held_out)


def ensemble_rows(split, model, seed):
    """Return the rows of a deep ensemble: the mean probabilities of plain networks with different seeds.

    The members share a hold-out, so that "+T" is one temperature of the pooled probabilities.
    """
    start = perf_counter()
    known, net = with_common_holdout(split, model, seed)
    members = [
        clone(net).set_params(smoothing="none", random_state=member).fit(known.X_fit, known.y_fit)
        for member in member_seeds(seed)
    ]

    def pooled(X):
        z = [log_softmax(member.decision_function(X) * member.temperature_) for member in members]
        return logsumexp(z, axis=0) - np.log(len(z))

    temperature = fit_temperature(pooled(known.X_valid), known.y_valid)
    seconds = perf_counter() - start
    raw = pooled(known.X_test)
    forms = {"": (raw, 1.0), " +T": (log_softmax(raw, temperature), temperature)}
    return [
        row_of(
            "Ensemble" + suffix,
            json.dumps({"members": N_MEMBERS}),
            metrics_of(z, split.y_test),
            temperature=T,
            seconds=seconds,
        )
        for suffix, (z, T) in forms.items()
    ]


def member_seeds(seed):
    """Return the seeds of an ensemble's members, of which no two ensembles share one."""
    return [1000 * (seed + 1) + member for member in range(N_MEMBERS)]


def method_rows(split, network, *, seed, n_splits, scale, test_all=True):
    """Return the rows of all methods for one split of a table, and those of every candidate.

    Parameters
    ----------
    split : Split
    network : dict
        Parameters of every network.
    seed : int
        Of networks and folds.
    n_splits : int
        Folds on which candidates are compared.
    scale : bool
        Whether to standardise the features.
    test_all : bool, default=True
        Whether to test all candidates, or just those that the inner folds prefer.
    """
    model = model_of(InstanceSmoothedClassifier(**network, random_state=seed), scale=scale)
    beta = model_of(BetaSmoothedClassifier(**network, random_state=seed), scale=scale)
    cv = inner_folds(n_splits, seed)
    chosen, settings = smoothing_rows(split, model, cv, test_all=test_all)
    return [*chosen, *beta_rows(split, beta, cv), *ensemble_rows(split, model, seed)], settings

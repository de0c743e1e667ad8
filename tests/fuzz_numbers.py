"""Areas of the fuzz suite that fit nothing: rules, temperature, metrics, reports, scorers, displays."""

from typing import Any

import fuzz_values as values
import numpy as np
from fuzz_case import Case
from fuzz_parts import NegCrossEntropyScorer, Y, plt

from sk_ils import inspection, metrics, smoothing, temperature


def rules(case: Case) -> None:
    """Targets and factors of the rules, over the whole range of their parameters."""
    name = case.rng("rule").choice(sorted(values.RULE_KINDS))
    given = {
        parameter: case.pick(parameter, *choice) for parameter, choice in values.RULE_KINDS[name].items()
    }
    logits = case.pick("logits", values.LOGITS, values.ODD_LOGITS, watch=True)
    y = case.pick("y_", values.CODES, values.ODD_CODES, watch=True)
    method = case.pick("method", ["'targets'", "'targets'", "'smoothing_factor'"])
    with case.ours(f"smoothing.{name}(...)"):
        rule = getattr(smoothing, name)(**given)
    if method == "targets":
        with case.ours(f"{name}.targets(y_, logits)"):
            student = rule.needs_student
            targets = rule.targets(y, None if student else logits, logits if student else None)
        case.expect(targets.shape == np.shape(logits), f"targets of shape {targets.shape}")
        case.expect(np.isfinite(targets).all(), "targets hold NaN or infinity")
        case.expect(targets.min(initial=0) >= 0, "targets are negative")
        tolerance = 5e-3 if targets.dtype == np.float16 else 1e-5
        case.expect(np.allclose(targets.sum(axis=1), 1, atol=tolerance), "targets do not sum to 1")
    else:
        proba = case.pick("true_class_proba", *values.RULES_TRUE_CLASS_PROBA)
        with case.ours(f"{name}.smoothing_factor(true_class_proba)"):
            factor = rule.smoothing_factor(proba)
        case.expect(np.shape(factor) == np.shape(proba), "smoothing_factor of another shape")
        case.expect((factor >= 0).all() and (factor <= 1).all(), "smoothing_factor outside of [0, 1]")


def temperatures(case: Case) -> None:
    """fit_temperature, softmax and log_softmax."""
    logits = case.pick("logits", values.LOGITS, values.ODD_LOGITS, watch=True)
    function = case.pick("function", ["'fit_temperature'", "'softmax'", "'log_softmax'"])
    if function == "fit_temperature":
        y = case.pick("y_", [*values.CODES, "y > 0"], values.ODD_CODES, watch=True)
        weight = case.pick("sample_weight", values.WEIGHTS, values.ODD_WEIGHTS, watch=True)
        with case.ours("fit_temperature(logits, y_, sample_weight)"):
            value = temperature.fit_temperature(logits, y, weight)
        case.expect(np.isfinite(value) and 1e-5 < value < 1e6, f"fit_temperature is {value}")
        case.expect(isinstance(value, float), f"fit_temperature is a {type(value).__name__}")
        return
    chosen = case.pick("temperature", values.TEMPERATURES, values.ODD_TEMPERATURES)
    with case.ours(f"{function}(logits, temperature)"):
        found = getattr(temperature, function)(logits, chosen)
    proba = found if function == "softmax" else np.exp(found)
    case.expect(proba.shape == np.shape(logits), f"{function} of shape {proba.shape}")
    case.expect(not np.isnan(found).any(), f"{function} holds NaN")
    case.expect(
        (proba >= 0).all() and np.allclose(proba.sum(axis=1), 1, atol=1e-9), f"{function} is no probability"
    )


def errors(case: Case) -> None:
    """Both calibration errors."""
    y = case.pick("y_true", values.TRUE, values.ODD_LABELS, watch=True)
    proba = case.pick("y_proba", values.GIVEN, values.ODD_PROBAS, watch=True)
    labels = case.pick("labels", values.LABEL_LISTS, values.ODD_LABEL_LISTS)
    weight = case.pick("sample_weight", values.WEIGHTS, values.ODD_WEIGHTS, watch=True)
    options: dict[str, Any] = {
        "n_bins": case.pick("n_bins", *values.BINS),
        "strategy": case.pick("strategy", *values.STRATEGIES),
        "norm": case.pick("norm", *values.NORMS),
    }
    options["debias"] = case.pick("debias", ["False", "False", "True"], ["None", "'yes'", "1"])
    name = case.pick("function", values.ERRORS_FUNCTION)
    if name == "classwise_calibration_error":
        options["average"] = case.pick("average", *values.ERRORS_AVERAGE)
    function = getattr(metrics, name)
    with case.ours(f"{name}(y_true, y_proba, ...)"):
        value = function(y, proba, labels=labels, sample_weight=weight, **options)
    limit = -1 if options["debias"] and options.get("average", "macro") is None else 0
    inside = np.isfinite(value).all() and np.min(value) >= limit and np.max(value) <= 1 + 1e-6
    case.expect(inside, f"{name} is {value}")
    if isinstance(weight, np.ndarray) and weight.dtype == np.float64 and 1e-20 < weight.max() < 1e20:
        with case.ours("with 1024 * sample_weight"):
            scaled = function(y, proba, labels=labels, sample_weight=weight * 1024, **options)
        case.expect(
            np.allclose(value, scaled, rtol=1e-6, atol=1e-9), f"{name} depends on the scale of weights"
        )


def reports(case: Case) -> None:
    """calibration_report."""
    y = case.pick("y_true", values.TRUE, values.ODD_LABELS, watch=True)
    proba = case.pick(
        "y_proba",
        [*values.GIVEN, "{'a': PROBA, 'b': np.full((N, 3), 1 / 3)}", "{'a': PROBA}"],
        [*values.ODD_PROBAS, *values.ODD_REPORTS_Y_PROBA],
        watch=True,
    )
    options = {
        "labels": case.pick("labels", values.LABEL_LISTS, values.ODD_LABEL_LISTS),
        "sample_weight": case.pick("sample_weight", values.WEIGHTS, values.ODD_WEIGHTS, watch=True),
        "n_bins": case.pick("n_bins", *values.BINS),
        "strategy": case.pick("strategy", *values.STRATEGIES),
        "n_resamples": case.pick("n_resamples", *values.REPORTS_N_RESAMPLES),
        "confidence_level": case.pick("confidence_level", *values.REPORTS_CONFIDENCE_LEVEL),
        "random_state": case.pick("random_state", *values.REPORTS_RANDOM_STATE),
    }
    with case.ours("calibration_report(y_true, y_proba, ...)"):
        report = metrics.calibration_report(y, proba, **options)
    with case.ours("report.frame(), table() and to_latex()"):
        table = report.frame()
        text = repr(report) + report._repr_html_() + report.to_latex()
        report.table()
    case.expect("nan" not in text, "the report shows nan")
    ends = table[["value", "low", "high"]].to_numpy(dtype=float)
    case.expect(np.isfinite(ends).all(), "the report holds NaN")
    case.expect((ends[:, 1] <= ends[:, 2]).all(), "an interval with low > high")


class Known:
    """A fitted classifier whose answer is what a case says."""

    _estimator_type = "classifier"

    def __init__(self, proba: Any, classes: Any) -> None:
        self.proba, self.classes_ = proba, classes

    def predict_proba(self, X: Any) -> Any:
        return self.proba

    def predict(self, X: Any) -> Any:
        proba = self.proba.detach() if hasattr(self.proba, "detach") else self.proba
        return np.asarray(self.classes_)[np.asarray(proba).argmax(axis=1)]

    def __sklearn_tags__(self) -> Any:
        from sklearn.dummy import DummyClassifier

        return DummyClassifier().__sklearn_tags__()

    def __sklearn_is_fitted__(self) -> bool:
        return True


def scorers(case: Case) -> None:
    """Scorers pair labels and columns by the classes of the estimator, or raise."""
    classes = case.pick("classes", *values.SCORERS_CLASSES)
    proba = case.pick(
        "proba",
        values.SCORERS_PROBA,
        values.ODD_PROBAS,
    )
    known = np.asarray(classes if classes is not None else [0, 1, 2], dtype=object)
    case.scope["own"] = known[Y % len(known)]
    y = case.pick("y_", values.SCORERS_Y, [*values.ODD_LABELS, *values.ODD_SCORERS_Y], watch=True)
    weight = case.pick("sample_weight", values.WEIGHTS, values.ODD_WEIGHTS, watch=True)
    options = case.pick("options", *values.SCORERS_OPTIONS)
    name = case.pick(
        "scorer",
        values.SCORERS_SCORER,
    )
    estimator = Known(proba, classes)
    made = {
        "CalibrationScorer": lambda: metrics.CalibrationScorer(**options),
        "calibration_scoring": lambda: metrics.calibration_scoring(**options),
        "NegCrossEntropyScorer": NegCrossEntropyScorer,
        "ece": lambda: metrics.neg_expected_calibration_error_scorer,
        "classwise": lambda: metrics.neg_classwise_calibration_error_scorer,
    }
    with case.ours(f"{name}(...)"):
        scorer = made[name]()
    kwargs = {} if weight is None else {"sample_weight": weight}
    with case.ours("scorer(estimator, X, y_)"):
        if isinstance(scorer, dict):
            scores = {key: one(estimator, case.scope["X"], y, **kwargs) for key, one in scorer.items()}
        else:
            scores = scorer(estimator, case.scope["X"], y, **kwargs)
    scores = scores if isinstance(scores, dict) else {"score": scores}
    for key, score in scores.items():
        low, high = (0, 1) if key == "accuracy" else (-40, 0)
        case.expect(np.isfinite(score) and low <= score <= high, f"{key} is {score}")
    if "accuracy" in scores and weight is None:
        truth = np.mean(estimator.predict(None).astype(object) == np.asarray(y, dtype=object))
        case.expect(np.isclose(scores["accuracy"], truth), f"accuracy is {scores['accuracy']}, not {truth}")


def displays(case: Case) -> None:
    """Displays of predictions, rules and searches."""
    ax = case.pick("ax", *values.DISPLAYS_AX)
    kwargs = case.pick("kwargs", *values.DISPLAYS_KWARGS)
    common = {
        "labels": case.pick("labels", values.LABEL_LISTS, values.ODD_LABEL_LISTS),
        "n_bins": case.pick("n_bins", *values.BINS),
        "name": case.pick("name", *values.DISPLAYS_NAME),
        "ax": ax,
    }
    y = case.pick("y_true", values.TRUE, values.ODD_LABELS, watch=True)
    kind = case.pick("display", ["'reliability'", "'reliability'", "'curve'"])
    try:
        if kind == "reliability":
            proba = case.pick(
                "y_proba",
                [*values.GIVEN, "{'a': PROBA, 'b': PROBA}"],
                [*values.ODD_PROBAS, *values.ODD_DISPLAYS_Y_PROBA],
                watch=True,
            )
            options = {
                "kind": case.pick("kind", *values.DISPLAYS_KIND),
                "strategy": case.pick("strategy", *values.STRATEGIES),
                "sample_weight": case.pick("sample_weight", values.WEIGHTS, values.ODD_WEIGHTS, watch=True),
                "confidence_level": case.pick(
                    "confidence_level", ["0.95", "0.5"], ["0", "1", "95", "'a'", "None"]
                ),
                "max_classes": case.pick("max_classes", ["12", "2"], ["0", "-1", "'a'", "None", "1.5"]),
            }
            with case.ours("ReliabilityDisplay.from_predictions(y_true, y_proba, ...)"):
                display = inspection.ReliabilityDisplay.from_predictions(
                    y, proba, **common, **options, **kwargs
                )
        else:
            proba = case.pick("y_proba", values.GIVEN, values.ODD_PROBAS, watch=True)
            rule = case.pick("smoothing", *values.DISPLAYS_SMOOTHING)
            with case.ours("SmoothingCurveDisplay.from_predictions(y_true, y_proba, ...)"):
                display = inspection.SmoothingCurveDisplay.from_predictions(
                    y, proba, smoothing=rule, **common, **kwargs
                )
        with case.ours("display.frame()"):
            table = display.frame()
        case.expect(len(table) > 0, "an empty frame")
        with case.ours("figure.canvas.draw()"):
            display.figure_.canvas.draw()
    finally:
        plt.close("all")


def search_displays(case: Case) -> None:
    """SearchDisplay over results of searches."""
    case.scope["cv_results"] = cv_results
    search = case.pick("search", *values.SEARCH_DISPLAYS_SEARCH)
    results = getattr(search, "cv_results_", search)
    names = (
        [str(name) for name in results if str(name).startswith("param_")] if isinstance(results, dict) else []
    )
    case.scope["first"] = names[0].removeprefix("param_") if names else "lr"
    first = case.pick("x", ["first"], ["'nonsense'", "3", "''", "['lr']", "None", "'lr'"])
    options = {
        "y": case.pick("y_", ["None", "'lr'"], ["'nonsense'", "3", "'smoothing__epsilon'"]),
        "metric": case.pick("metric", ["None", "'score'"], ["'nonsense'", "3"]),
        "where": case.pick("where", *values.SEARCH_DISPLAYS_WHERE),
        "score_name": case.pick("score_name", ["None", "'a'", "'$'"], ["3", "[]"]),
        "negate_score": case.pick("negate_score", ["None", "True"], ["'a'", "3"]),
        "ax": case.pick("ax", ["None"], ["3", "plt.figure().subplots(2)", "[]"]),
    }
    kwargs = case.pick("kwargs", *values.SEARCH_DISPLAYS_KWARGS)
    try:
        with case.ours("SearchDisplay.from_search(search, x, ...)"):
            display = inspection.SearchDisplay.from_search(search, first, **options, **kwargs)
        with case.ours("display.frame()"):
            display.frame()
        with case.ours("figure.canvas.draw()"):
            display.figure_.canvas.draw()
    finally:
        plt.close("all")


class _Results:
    """What a fitted search has, without the fit."""

    def __init__(self, results: dict[str, Any]) -> None:
        self.cv_results_ = results
        self.best_index_, self.multimetric_, self.scorer_ = 0, False, None
        self.scoring = self.refit = None
        self.n_splits_ = 2


def cv_results(grid: dict[str, list[Any]], score: float | None = None) -> Any:
    from sklearn.model_selection import ParameterGrid

    params = list(ParameterGrid(grid))
    scores = np.linspace(-1.0, -0.5, len(params)) if score is None else np.full(len(params), score)
    results: dict[str, Any] = {
        "params": params,
        "mean_test_score": scores,
        "std_test_score": np.abs(scores) / 10,
    }
    results["rank_test_score"] = np.arange(len(params))[::-1] + 1
    for split in range(2):
        results[f"split{split}_test_score"] = scores
    for name in grid:
        column = np.empty(len(params), dtype=object)
        column[:] = [candidate[name] for candidate in params]
        results[f"param_{name}"] = np.ma.masked_array(column, mask=False)
    return _Results(results)


AREAS = {
    "rules": (rules, 8),
    "temperatures": (temperatures, 6),
    "errors": (errors, 10),
    "reports": (reports, 5),
    "scorers": (scorers, 7),
    "displays": (displays, 8),
    "search displays": (search_displays, 4),
}

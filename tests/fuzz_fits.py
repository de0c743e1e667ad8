"""Areas of the fuzz suite that fit networks: data, parameters, modules, teachers, state, search."""

import io
import pickle
import tempfile
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import fuzz_values as values
import numpy as np
import torch
from fuzz_case import Case, Refused
from fuzz_parts import HOOKS, SMALL, N, X, Y
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

# --- what every fit must hold -------------------------------------------------------------------------


def fitted(estimator: Any) -> bool:
    try:
        check_is_fitted(estimator)
    except (NotFittedError, TypeError, AttributeError):
        return False
    return True


def expect_rows(case: Case, proba: Any, n_rows: int, n_classes: int) -> None:
    case.expect(isinstance(proba, np.ndarray), f"predict_proba returned a {type(proba).__name__}")
    case.expect(
        proba.shape == (n_rows, n_classes), f"predict_proba: {proba.shape}, not {(n_rows, n_classes)}"
    )
    case.expect(np.isfinite(proba).all(), "predict_proba holds NaN or infinity")
    case.expect((proba >= 0).all() and (proba <= 1).all(), "predict_proba outside of [0, 1]")
    case.expect(np.allclose(proba.sum(axis=1), 1, atol=1e-9), "rows of predict_proba do not sum to 1")


def n_rows(value: Any) -> int:
    return value.shape[0] if hasattr(value, "shape") else len(value)


def expect_fitted(case: Case, estimator: Any, inputs: Any, y: Any = None) -> None:
    """Check what a fit has learned, and that predictions on its inputs are valid."""
    if y is not None:
        labels = y.numpy(force=True) if isinstance(y, torch.Tensor) else y
        found = sorted(set(np.asarray(labels).ravel().tolist()))
        case.expect(
            sorted(estimator.classes_.tolist()) == found, f"classes_ is {estimator.classes_}, not {found}"
        )
    with case.ours("predict_proba(X)"):
        proba = estimator.predict_proba(inputs)
    expect_rows(case, proba, n_rows(inputs), len(estimator.classes_))
    with case.ours("predict(X)"):
        winners = estimator.predict(inputs)
        again = estimator.predict_proba(inputs)
    case.expect((winners == estimator.classes_[proba.argmax(axis=1)]).all(), "predict is not the argmax")
    case.expect(np.array_equal(proba, again), "two calls of predict_proba differ")
    temperature = getattr(estimator, "temperature_", 1.0)
    case.expect(np.isfinite(temperature) and temperature > 0, f"temperature_ is {temperature}")


def attempt(case: Case, estimator: Any, call: str, action: Callable[[], Any]) -> Any:
    """Do what may be refused: then parameters and what was fitted before are as they were."""
    parameters = estimator.get_params(deep=False)
    before = estimator.predict_proba(X) if fitted(estimator) and case.scope.get("reference") else None
    try:
        with case.ours(call), redirect_stdout(io.StringIO()):
            result = action()
    except Refused:
        _expect_same_parameters(case, estimator, parameters)
        if before is None and not case.scope.get("reference"):
            case.expect(not fitted(estimator), f"{call} was refused, and the estimator looks fitted")
        if before is not None:
            case.expect(fitted(estimator), f"{call} was refused, and what was fitted is lost")
            case.expect(
                np.array_equal(estimator.predict_proba(X), before), f"{call} was refused, predictions differ"
            )
        raise
    _expect_same_parameters(case, estimator, parameters)
    return result


def _expect_same_parameters(case: Case, estimator: Any, parameters: dict[str, Any]) -> None:
    now = estimator.get_params(deep=False)
    changed = [name for name in now if name not in parameters or now[name] is not parameters[name]]
    case.expect(not changed, f"the call changed the parameters {changed}")


def build(case: Case, **given: Any) -> Any:
    """Return an estimator of either kind, of small size, with the given parameters."""
    kind = case.pick("kind", ["TeacherClassifier", "InstanceSmoothedClassifier"])
    if "module" not in given:
        given = {"module__hidden_sizes": (8,), **given}
    with case.ours(f"{kind.__name__}(...)"):
        return kind(**{**SMALL, **given})


# --- areas --------------------------------------------------------------------------------------------


def tables(case: Case) -> None:
    """X, y, weights and groups of all sorts."""
    inputs = case.pick("X_", values.TABLES, values.ODD_TABLES, watch=True)
    y = case.pick("y_", values.LABELS, values.ODD_LABELS, watch=True)
    weight = case.pick("sample_weight", values.WEIGHTS, values.ODD_WEIGHTS, watch=True)
    groups = case.pick("groups", values.GROUPS, values.ODD_GROUPS, watch=True)
    extra = case.pick("extra", values.TABLES_EXTRA)
    estimator = build(case, **extra)
    attempt(
        case,
        estimator,
        "fit(X_, y_, sample_weight=sample_weight, groups=groups)",
        lambda: estimator.fit(inputs, y, sample_weight=weight, groups=groups),
    )
    expect_fitted(case, estimator, inputs, y)
    with case.ours("score(X_, y_)"):
        score = estimator.score(inputs, y)
    case.expect(0 <= score <= 1, f"score is {score}")


def scales(case: Case) -> None:
    """Nothing depends on the scale of the weights."""
    weight = case.pick("sample_weight", values.SCALES_SAMPLE_WEIGHT)
    factor = case.pick("factor", ["2.0**-10", "2.0**10", "2.0**-30", "2.0**30", "2.0"])
    smooth = case.pick("smoothing", values.SCALES_SMOOTHING)
    cv = case.pick("teacher_cv", ["None", "2"]) if smooth in {"ils2", "ils"} else None
    kind = case.scope["InstanceSmoothedClassifier"]
    results = []
    for scaled in (weight, weight * factor):
        estimator = kind(**SMALL, smoothing=smooth, teacher_cv=cv, module__hidden_sizes=(8,))
        with case.ours("fit"):
            estimator.fit(X, Y, sample_weight=scaled)
        results.append(estimator)
    first, second = results
    for name in ("temperature_", "teacher_temperature_"):
        one, other = getattr(first, name), getattr(second, name)
        case.expect(
            np.isclose(one, other, rtol=1e-3), f"{name} depends on the scale of weights: {one} and {other}"
        )
    same = np.allclose(first.predict_proba(X), second.predict_proba(X), atol=1e-3)
    case.expect(same, "predict_proba depends on the scale of weights")


def parameters(case: Case) -> None:
    """The parameters of both classifiers."""
    names = case.rng("names").sample(sorted(values.PARAMETERS), 3)
    given = {name: case.pick(name, *values.PARAMETERS[name]) for name in names}
    given |= case.pick("extra", values.EXTRA, values.ODD_EXTRA)
    way = case.pick("way", ["'init'", "'set_params'"])
    if way == "init":
        estimator = build(case, **given)
    else:
        estimator = build(case)
        with case.ours("set_params(...)"):
            estimator.set_params(**given)
    attempt(case, estimator, "fit(X, y)", lambda: estimator.fit(X, Y))
    expect_fitted(case, estimator, X, Y)
    with case.ours("clone(estimator)"):
        copied = clone(estimator)
    case.expect(type(copied) is type(estimator) and not fitted(copied), "clone is no unfitted copy")
    with case.ours("repr"):
        repr(estimator)


def modules(case: Case) -> None:
    """Networks of all sorts."""
    module = case.pick("module", values.MODULES, values.ODD_MODULES)
    extra = case.pick("extra", values.EXTRA[:1] + values.EXTRA[3:5], values.ODD_EXTRA)
    names = case.rng("names").sample(["train_split", "dtype", "optimizer", "batch_size", "callbacks"], 1)
    given = {name: case.pick(name, *values.PARAMETERS[name]) for name in names}
    estimator = build(case, module=module, **extra, **given)
    attempt(case, estimator, "fit(X, y)", lambda: estimator.fit(X, Y))
    expect_fitted(case, estimator, X, Y)


def teachers(case: Case) -> None:
    """Rules, and the three kinds of teacher in both modes."""
    given = {name: case.pick(name, *choice) for name, choice in values.STUDENT.items()}
    proba = case.pick("teacher_proba", ["None"] * 40 + values.PROBAS, values.ODD_PROBAS, watch=True)
    weight = case.pick("sample_weight", values.WEIGHTS, values.ODD_WEIGHTS, watch=True)
    inputs = case.pick("X_", ["X", "frame(X)", "torch.tensor(X)", "Pairs(X, y)"])
    split = case.pick("train_split", ["0.3", "None"])
    kind = case.scope["InstanceSmoothedClassifier"]
    with case.ours("InstanceSmoothedClassifier(...)"):
        estimator = kind(**{**SMALL, "train_split": split}, module__hidden_sizes=(8,), **given)
    attempt(
        case,
        estimator,
        "fit(X_, y, sample_weight=sample_weight, teacher_proba=teacher_proba)",
        lambda: estimator.fit(inputs, Y, sample_weight=weight, teacher_proba=proba),
    )
    expect_fitted(case, estimator, inputs, Y)
    if estimator.teacher_ is not None:
        with case.ours("teacher_predict_proba(X_)"):
            seen = estimator.teacher_predict_proba(inputs)
        expect_rows(case, seen, N, 3)


def prediction(case: Case) -> None:
    """Prediction on inputs of all sorts."""
    start = case.pick("X_fit", values.PREDICTION_X_FIT)
    inputs = case.pick(
        "X_",
        values.TABLES + values.ODD_TABLES + values.DATASETS,
        values.ODD_TABLES + values.ODD_DATASETS,
        watch=True,
    )
    method = case.pick("method", values.PREDICTION_METHOD)
    y = case.pick("y_", values.LABELS, values.ODD_LABELS, watch=True) if method == "score" else None
    extra = case.pick("extra", values.PREDICTION_EXTRA)
    estimator = build(case, **extra)
    if not case.pick("unfitted", ["False"], ["True"]):
        with case.ours("fit(X_fit, y)"):
            estimator.fit(start, Y)
    with case.ours(f"{method}(X_)"):
        arguments = (inputs, y) if method == "score" else (inputs,)
        result = getattr(estimator, method)(*arguments)
    if method == "score":
        case.expect(0 <= result <= 1, f"score is {result}")
    elif method == "predict_proba":
        expect_rows(case, result, n_rows(inputs), 3)
    else:
        case.expect(len(result) == n_rows(inputs), f"{method}: {len(result)} rows, not {n_rows(inputs)}")
        numbers = np.asarray(result.detach() if isinstance(result, torch.Tensor) else result)
        case.expect(not np.isnan(numbers.astype(float)).any(), f"{method} holds NaN")


def datasets(case: Case) -> None:
    """torch Datasets, good and odd."""
    data = case.pick("data", values.DATASETS, values.ODD_DATASETS)
    y = case.pick("y_", ["None", "None", "y", "NAMES[y]", "y.tolist()"], values.ODD_LABELS)
    weight = case.pick("sample_weight", values.WEIGHTS, values.ODD_WEIGHTS)
    groups = case.pick("groups", values.GROUPS, values.ODD_GROUPS)
    extra = case.pick("extra", values.DATASETS_EXTRA)
    if (
        "smoothing" in extra
        and case.pick("kind", ["TeacherClassifier", "InstanceSmoothedClassifier"])
        is not (case.scope["InstanceSmoothedClassifier"])
    ):
        extra = {}
    estimator = build(case, **extra)
    arguments = {} if weight is None else {"sample_weight": weight}
    attempt(case, estimator, "fit(data, y_)", lambda: estimator.fit(data, y, groups=groups, **arguments))
    expect_fitted(case, estimator, data)


def sequences(case: Case) -> None:
    """Several calls on one estimator: what a refused one leaves, pickles, saved parameters."""
    extra = case.pick("extra", values.SEQUENCES_EXTRA)
    rule = case.pick("smoothing", ["'ils2'", "'none'", "'bootstrap'", "'distillation'"])
    kind = case.pick("kind", ["TeacherClassifier", "InstanceSmoothedClassifier"])
    if kind is case.scope["InstanceSmoothedClassifier"]:
        extra = {**extra, "smoothing": rule}
    estimator = build(case, **extra)
    for step in range(case.rng("steps").randint(2, 5)):
        name = case.pick(f"step{step}", [f"{name!r}" for name in STEPS])
        estimator = STEPS[name](case, estimator, step)
    if fitted(estimator):
        expect_fitted(case, estimator, X)


def _fit(case: Case, estimator: Any, step: int) -> Any:
    inputs = case.pick(f"X{step}", ["X", "X.astype(np.float32)", "frame(X)"], values.ODD_TABLES)
    y = case.pick(f"y{step}", ["y", "y.tolist()"], values.ODD_LABELS)
    case.scope["reference"] = fitted(estimator)
    attempt(case, estimator, f"fit(X{step}, y{step})", lambda: estimator.fit(inputs, y))
    return estimator


def _partial_fit(case: Case, estimator: Any, step: int) -> Any:
    inputs = case.pick(f"X{step}", ["X", "X.astype(np.float32)", "frame(X)"], values.ODD_TABLES)
    y = case.pick(f"y{step}", ["y", "y.tolist()"], values.ODD_LABELS)
    classes = case.pick(
        f"classes{step}",
        ["[0, 1, 2]", "np.arange(3)", "[2, 1, 0]"],
        ["None", "[0]", "[0, 1]", "'abc'", "3", "[0, 1, 2, 3]", "[None, 1]", "[]", "[0, 'a']", "X"],
    )
    case.scope["reference"] = fitted(estimator)
    attempt(
        case,
        estimator,
        f"partial_fit(X{step}, y{step}, classes=classes{step})",
        lambda: estimator.partial_fit(inputs, y, classes=classes),
    )
    return estimator


def _interrupted(case: Case, estimator: Any, step: int) -> Any:
    """A callback raises: a later call restores what was there."""
    callback = case.pick(
        f"callback{step}",
        [
            f"HostileCallback({hook!r}, {error})"
            for hook in HOOKS
            for error in ("HostileError", "KeyboardInterrupt")
        ],
    )
    later = case.pick(f"call{step}", ["'fit'", "'partial_fit'"])
    known = fitted(estimator)
    goes_on = known and (later == "partial_fit" or estimator.warm_start)
    before = estimator.predict_proba(X) if goes_on else None
    old = estimator.callbacks
    estimator.set_params(callbacks=[callback])
    if goes_on:
        estimator.callbacks_.append(("hostile", callback))
    kwargs = {"classes": [0, 1, 2]} if later == "partial_fit" else {}
    case.calls.append(f"set_params(callbacks=[callback{step}]).{later}(X, y)")
    try:
        getattr(estimator, later)(X, Y, **kwargs)
    except BaseException:
        if goes_on:
            case.expect(fitted(estimator), "an interrupted later call loses what was fitted")
            case.expect(
                np.array_equal(estimator.predict_proba(X), before), "an interrupted call changes predictions"
            )
        else:
            case.expect(known or not fitted(estimator), "an interrupted first fit looks fitted")
    estimator.set_params(callbacks=old)
    if hasattr(estimator, "callbacks_"):
        estimator.callbacks_[:] = [pair for pair in estimator.callbacks_ if pair[1] is not callback]
    return estimator


def _pickle(case: Case, estimator: Any, step: int) -> Any:
    with case.ours("pickle.loads(pickle.dumps(estimator))"):
        restored = pickle.loads(pickle.dumps(estimator))
    case.expect(fitted(restored) == fitted(estimator), "a pickle is fitted if its original is")
    if fitted(estimator):
        case.expect(
            np.array_equal(restored.predict_proba(X), estimator.predict_proba(X)),
            "a pickle predicts otherwise",
        )
    return restored


def _clone(case: Case, estimator: Any, step: int) -> Any:
    with case.ours("clone(estimator)"):
        copied = clone(estimator)
    case.expect(not fitted(copied), "a clone is unfitted")
    return copied


def _set_params(case: Case, estimator: Any, step: int) -> Any:
    name = case.rng(f"name{step}").choice(["max_epochs", "lr", "batch_size", "patience", "train_split"])
    value = case.pick(f"{name}{step}", *values.PARAMETERS[name])
    before = estimator.predict_proba(X) if fitted(estimator) else None
    with case.ours(f"set_params({name}={name}{step})"):
        estimator.set_params(**{name: value})
    if before is not None:
        with case.ours("predict_proba(X)"):
            after = estimator.predict_proba(X)
        case.expect(np.array_equal(after, before), "set_params changes predictions")
    return estimator


def _save(case: Case, estimator: Any, step: int) -> Any:
    """save_params, and load_params into an estimator of the same or another shape."""
    safe = case.pick(f"safe{step}", ["False", "True"])
    case.scope["estimator"] = estimator
    with case.ours("another estimator"):
        other = case.pick(
            f"other{step}",
            [
                "estimator",
                "clone(estimator)",
                "clone(estimator).fit(X, y)",
                "clone(estimator).set_params(module=None).fit(X[:, :2], y)",
                "clone(estimator).set_params(module=None).fit(X, y > 0)",
            ],
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "parameters"
        with case.ours(f"save_params(path, use_safetensors={safe})"):
            estimator.save_params(f_params=path, use_safetensors=safe)
        width = getattr(other, "n_features_in_", 4)
        before = other.predict_proba(X[:, :width]) if fitted(other) else None
        try:
            with case.ours("load_params(path)"):
                other.load_params(f_params=path, use_safetensors=safe)
        except Refused:
            if before is not None:
                case.expect(
                    np.array_equal(other.predict_proba(X[:, :width]), before),
                    "a refused load changes weights",
                )
            raise
    with case.ours("predict_proba(X)"):
        loaded = other.predict_proba(X)
    case.expect(np.allclose(loaded, estimator.predict_proba(X)), "loaded parameters predict otherwise")
    return other


STEPS: dict[str, Callable[[Case, Any, int], Any]] = {
    "fit": _fit,
    "partial_fit": _partial_fit,
    "fit again": _fit,
    "more": _partial_fit,
    "interrupted": _interrupted,
    "pickle": _pickle,
    "clone": _clone,
    "set_params": _set_params,
    "save": _save,
}


def searches(case: Case) -> None:
    """SmoothingSearchCV: estimators, grids, splits, scores."""
    base = case.pick("estimator", values.BASES, values.ODD_BASES)
    grid = case.pick("param_grid", values.GRIDS, values.ODD_GRIDS)
    if isinstance(grid, dict) and "ipeline" in case.drawn.get("estimator", ""):
        step = base.steps[-1][0] if base.steps else "clf"
        grid = {f"{step}__{name}": value for name, value in grid.items()}
    cv = case.pick("cv", values.CVS, values.ODD_CVS)
    scoring = case.pick("scoring", values.SCORINGS, values.ODD_SCORINGS)
    refit = case.pick("refit", values.REFITS, values.ODD_REFITS)
    options = case.pick("options", *values.SEARCHES_OPTIONS)
    fit_params = case.pick("fit_params", *values.SEARCHES_FIT_PARAMS)
    inputs = case.pick("X_", values.SEARCHES_X, values.ODD_TABLES)
    y = case.pick("y_", ["y", "NAMES[y]", "y.tolist()", "pd.Series(y)"], values.ODD_LABELS)
    with case.ours("SmoothingSearchCV(...)"):
        search = case.scope["SmoothingSearchCV"](base, grid, cv=cv, scoring=scoring, refit=refit, **options)
    try:
        with case.ours("fit(X_, y_, **fit_params)"), redirect_stdout(io.StringIO()):
            search.fit(inputs, y, **fit_params)
    except Refused:
        case.expect(not fitted(search), "a refused search looks fitted")
        raise
    n_candidates = len(search.cv_results_["params"])
    case.expect(n_candidates >= 1, "no candidate")
    if refit is not False:
        expect_fitted(case, search, inputs)
    if search.ensemble and refit:
        expect_rows(case, search.out_of_fold_proba_, n_rows(inputs), len(search.classes_))
    if search.scoring is None and refit:
        with case.ours("search.score(X_, y_)"):
            score = search.score(inputs, y)
        case.expect(np.isfinite(score) and score <= 0, f"search.score is {score}")


def companions(case: Case) -> None:
    """scikit-learn's own tools round our classifiers."""
    names = [
        "calibration.CalibratedClassifierCV(base, cv=2)",
        "ensemble.BaggingClassifier(base, 2, random_state=0)",
        "model_selection.GridSearchCV(base, {'lr': [0.1, 0.01]}, cv=2)",
        "multiclass.OneVsRestClassifier(base)",
        "pipeline.make_pipeline(preprocessing.StandardScaler(), base)",
        "FrozenEstimator(base.fit(X, y_))",
        "ensemble.VotingClassifier([('a', base), ('b', naive_bayes.GaussianNB())], voting='soft')",
        "ensemble.StackingClassifier([('a', base)], cv=2)",
        "ensemble.AdaBoostClassifier(base, n_estimators=2, random_state=0)",
        "calibration.CalibratedClassifierCV(base, cv=2, method='isotonic')",
        "semi_supervised.SelfTrainingClassifier(base)",
        "feature_selection.SequentialFeatureSelector(base, n_features_to_select=1, cv=2)",
        "model_selection.FixedThresholdClassifier(base)",
        "TemperatureScaledClassifier(base, cv=2)",
        "CrossFittedClassifier(base, cv=2)",
    ]
    case.pick(
        "base",
        values.COMPANIONS_BASE,
    )
    y = case.pick("y_", values.COMPANIONS_Y, values.ODD_LABELS)
    inputs = case.pick("X_", ["X", "frame(X)"], values.ODD_TABLES)
    routing = case.pick("routing", ["False", "True"])
    with config_context(enable_metadata_routing=routing):
        with case.ours("compose"):
            model = case.pick("model", names)
        with case.ours("model.fit(X_, y_)"):
            model.fit(inputs, y)
        if not hasattr(model, "predict_proba"):
            return
        with case.ours("model.predict_proba(X_)"):
            proba = model.predict_proba(inputs)
    if getattr(model, "multilabel_", False):  # each column is a probability of its own
        return
    expect_rows(case, proba, n_rows(inputs), len(model.classes_))


AREAS = {
    "tables": (tables, 20),
    "weight scales": (scales, 3),
    "parameters": (parameters, 16),
    "modules": (modules, 8),
    "teachers": (teachers, 14),
    "prediction": (prediction, 10),
    "datasets": (datasets, 8),
    "sequences": (sequences, 10),
    "searches": (searches, 12),
    "companions": (companions, 4),
}

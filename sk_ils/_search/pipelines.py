"""The searched estimator, a classifier or a Pipeline: its parts and metadata."""

import copy
import warnings
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray
from sklearn.pipeline import Pipeline
from sklearn.utils.metadata_routing import get_routing_for_object, process_routing

from sk_ils._net.fit_data import HeldOut
from sk_ils._net.inputs import is_dataset
from sk_ils._samples import subset
from sk_ils._sklearn_compat import has_callbacks, routing_enabled, safe_indexing
from sk_ils.classifiers import InstanceSmoothedClassifier, TeacherClassifier

Parameters = dict[str, Any]
# What fit takes beside X and y.
METADATA = ("sample_weight", "groups", "teacher_proba")


def classifier_of(estimator: Any) -> InstanceSmoothedClassifier:
    """Return the classifier that is searched: the estimator, or a Pipeline's last step."""
    last = estimator.steps[-1][1] if isinstance(estimator, Pipeline) and estimator.steps else estimator
    if not isinstance(last, InstanceSmoothedClassifier):
        cure = "For other estimators take GridSearchCV, and TemperatureScaledClassifier."
        if isinstance(last, TeacherClassifier):
            cure = "For hard labels take InstanceSmoothedClassifier(smoothing='none')."
        raise TypeError(
            "SmoothingSearchCV and CrossFittedClassifier take an InstanceSmoothedClassifier, or a Pipeline "
            f"that ends with one; got {last!r}. {cure}"
        )
    return last


def prefix_of(estimator: Any) -> str:
    """Return what stands before the names of the classifier's parameters: "", or "step__"."""
    return f"{estimator.steps[-1][0]}__" if isinstance(estimator, Pipeline) else ""


def with_seed(estimator: Any, seed: int) -> Any:
    """Give an estimator's classifier a fixed seed, unless it has one."""
    net = classifier_of(estimator)
    if not isinstance(net.random_state, int):
        net.set_params(random_state=seed)
    return estimator


def resamples(estimator: Any) -> bool:
    """Return whether a step before the classifier changes the rows, as imbalanced-learn's do."""
    steps = estimator.steps[:-1] if isinstance(estimator, Pipeline) else []
    return any(hasattr(step, "fit_resample") for _, step in steps)


def why_fitted_whole(estimator: Any) -> str | None:
    """Return why each candidate must be fitted by its own `fit`, None if it need not."""
    if resamples(estimator):
        return "a step of the Pipeline resamples the rows, so that each candidate fits all steps"
    if _sees_fits(estimator):
        return "the estimator's set_callbacks wants to see the fit of each (set them on the search instead)"
    return None


def _sees_fits(estimator: Any) -> bool:
    return has_callbacks(estimator) or has_callbacks(classifier_of(estimator))


def check_holds_out(estimator: Any) -> None:
    """Raise ValueError unless the classifier's fits can be given a hold-out of their own.

    A `train_split` of the user's that is passed over is a warning.
    """
    if _sees_fits(estimator):
        raise ValueError(
            "ensemble=True trains the networks without their fit, which the estimator's callbacks would "
            "see: call set_callbacks on the search, or pass ensemble=False."
        )
    if resamples(estimator):
        raise ValueError(
            "ensemble=True holds each split's test part out as it is, which a Pipeline whose steps resample "
            "the rows does not let it: pass ensemble=False, or sample_weight in place of the sampler."
        )
    if callable(classifier_of(estimator).train_split):
        warnings.warn(
            "train_split is not asked in an ensemble: each split's test part is the hold-out of its "
            "networks. Leave train_split out if that is meant. For a hold-out without augmentation augment "
            "in the module, if self.training.",
            stacklevel=2,
        )


def samples_of(X: Any, index: NDArray[Any]) -> Any:
    """Return some samples of X, also of a torch Dataset."""
    return subset(X, index) if is_dataset(X) else safe_indexing(X, index)


def parameters_key(params: Parameters) -> Any:
    """Return a key that equal parameters share; values that cannot be hashed count by identity."""
    return frozenset((name, _value_key(value)) for name, value in params.items())


def preprocessing_key(estimator: Pipeline, shared: Parameters) -> Any:
    """Return a key that candidates share whose parameters before the classifier are equal."""
    prefix = prefix_of(estimator)
    return parameters_key({name: value for name, value in shared.items() if not name.startswith(prefix)})


def _value_key(value: Any) -> Any:
    try:
        hash(value)
    except TypeError:
        return id(value)
    return type(value), value  # 1, 1.0 and True are equal, but not the same parameter


class Fold:
    """The training part of a split, and what the steps before the classifier make of it.

    Parameters
    ----------
    X, y, metadata
        As passed to fit.
    held_out : HeldOut or None
        The hold-out of its fits, if it is not a part of X.
    """

    def __init__(
        self, X: Any, y: NDArray[Any], metadata: Parameters, held_out: HeldOut | None = None
    ) -> None:
        self.X = X
        self.y = y
        self.metadata = metadata
        self.held_out = held_out
        self.prepared: dict[Any, tuple[Pipeline | None, Any, HeldOut | None]] = {}

    def prepare(self, estimator: Any, shared: Parameters) -> tuple[Pipeline | None, Any, HeldOut | None]:
        """Return the fitted steps before the classifier, or None, and both parts after them.

        What has the same parameters of these steps shares them.
        """
        if not isinstance(estimator, Pipeline) or len(estimator.steps) == 1:
            return None, self.X, self.held_out
        key = preprocessing_key(estimator, shared)
        if key not in self.prepared:
            steps = estimator[:-1]
            params = _params_before_classifier(estimator, self.metadata)
            X = _fit_transform(steps, self.X, self.y, params)
            held_out = self.held_out and replace(self.held_out, X=steps.transform(self.held_out.X))
            self.prepared[key] = steps, X, held_out
        return self.prepared[key]


def _fit_transform(steps: Pipeline, X: Any, y: NDArray[Any], params: Parameters) -> Any:
    try:
        return steps.fit_transform(X, y, **params)
    except (TypeError, ValueError) as error:
        if not is_dataset(X):
            raise
        raise TypeError(
            f"The steps before the classifier, {', '.join(steps.named_steps)}, got a torch Dataset: "
            f"{error}. Transform its items inside of it, or pass an array."
        ) from error


def check_metadata_names(estimator: Any, metadata: Parameters) -> None:
    """Raise ValueError for the name of a step that a Pipeline lacks, in a search's metadata."""
    if not isinstance(estimator, Pipeline) or routing_enabled():
        return
    for name in metadata:
        step, delimiter, _ = name.partition("__")
        if name not in METADATA and not (delimiter and step in estimator.named_steps):
            raise ValueError(
                f"fit got {name!r}: beside {', '.join(METADATA)} it takes step__parameter, with the steps "
                f"{', '.join(estimator.named_steps)}."
            )


def classifier_metadata(estimator: Any, metadata: Parameters) -> Parameters:
    """Return what the classifier's fit gets of a search's metadata."""
    if not isinstance(estimator, Pipeline):
        return metadata
    if routing_enabled():
        return dict(process_routing(estimator, "fit", **metadata)[estimator.steps[-1][0]].fit)
    prefix = prefix_of(estimator)
    own = {name.removeprefix(prefix): value for name, value in metadata.items() if name.startswith(prefix)}
    return own | {name: value for name, value in metadata.items() if name in METADATA}


def pipeline_metadata(estimator: Any, metadata: Parameters) -> Parameters:
    """Return a search's metadata under the names that the whole estimator's fit knows."""
    if not isinstance(estimator, Pipeline) or routing_enabled():
        return metadata
    prefix = prefix_of(estimator)
    return {f"{prefix}{name}" if name in METADATA else name: value for name, value in metadata.items()}


def _params_before_classifier(estimator: Pipeline, metadata: Parameters) -> Parameters:
    if routing_enabled():
        routing = get_routing_for_object(estimator[:-1])
        wanted = routing.consumes("fit_transform", metadata.keys())
        return {name: value for name, value in metadata.items() if name in wanted}
    prefix = prefix_of(estimator)
    return {
        name: value
        for name, value in metadata.items()
        if name not in METADATA and not name.startswith(prefix)
    }


def assemble(estimator: Any, steps: Pipeline | None, net: InstanceSmoothedClassifier) -> Any:
    """Return the fitted steps and classifier as an estimator of the searched one's type."""
    if not isinstance(estimator, Pipeline):
        return net
    before = [] if steps is None else steps.steps
    whole = copy.copy(estimator)
    whole.steps = [*before, (estimator.steps[-1][0], net)]
    return whole

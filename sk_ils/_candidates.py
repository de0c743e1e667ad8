"""The candidates of a search: which of them share a stack, and their training on one fold."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils.metadata_routing import get_routing_for_object, process_routing
from torch.utils.data import Subset

from sk_ils._inputs import is_dataset
from sk_ils._stackable import affordable_size, why_not_stackable
from sk_ils._stacked import Candidate, part_of, train_stacked
from sk_ils._task import Task, make_task
from sk_ils._teachers import TeacherView
from sk_ils._training import draw_seed, seeded
from sk_ils._validation import routing_enabled, safe_indexing
from sk_ils.classifiers import InstanceSmoothedClassifier
from sk_ils.smoothing import resolve_rule

Parameters = dict[str, Any]
Progress = Callable[[float], None]
# What fit takes beside X and y.
_METADATA = ("sample_weight", "groups", "teacher_proba")


def classifier_of(estimator: Any) -> InstanceSmoothedClassifier:
    """Return the classifier whose smoothing is searched: the estimator, or the last step of a Pipeline."""
    last = estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator
    if not isinstance(last, InstanceSmoothedClassifier):
        raise TypeError(
            "SmoothingSearchCV searches the smoothing of an InstanceSmoothedClassifier, or of a Pipeline "
            f"that ends with one; got {last!r}. For other estimators take GridSearchCV."
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


def rows_of(X: Any, index: NDArray[Any]) -> Any:
    """Return some rows of X, also of a torch Dataset."""
    return Subset(X, index.tolist()) if is_dataset(X) else safe_indexing(X, index)


# --- which candidates share a stack -------------------------------------------------------------------


@dataclass(frozen=True)
class Group:
    """Candidates that differ in their smoothing only."""

    shared: Parameters
    numbers: list[int]  # places in the list of all candidates
    smoothing: list[Parameters]  # of each candidate, without the prefix


def group_candidates(candidates: list[Parameters], prefix: str) -> list[Group]:
    """Return the candidates gathered by what they have besides the smoothing, in order of appearance."""
    groups: dict[Any, Group] = {}
    for number, params in enumerate(candidates):
        smoothing = {name: value for name, value in params.items() if _is_smoothing(name, prefix)}
        shared = {name: value for name, value in params.items() if name not in smoothing}
        group = groups.setdefault(_key(shared), Group(shared, [], []))
        group.numbers.append(number)
        group.smoothing.append({name.removeprefix(prefix): value for name, value in smoothing.items()})
    return list(groups.values())


def _is_smoothing(name: str, prefix: str) -> bool:
    bare = name.removeprefix(prefix)
    return name.startswith(prefix) and (bare == "smoothing" or bare.startswith("smoothing__"))


def _key(params: Parameters) -> Any:
    """Return a key that equal parameters share; values that cannot be hashed count by identity."""
    return frozenset((name, _value_key(value)) for name, value in params.items())


def _value_key(value: Any) -> Any:
    try:
        hash(value)
    except TypeError:
        return id(value)
    return type(value), value  # 1, 1.0 and True are equal, but not the same parameter


# --- preprocessing, once a fold -----------------------------------------------------------------------


class Fold:
    """The training part of a split, and what the steps before the classifier make of it."""

    def __init__(self, X: Any, y: NDArray[Any], metadata: Parameters) -> None:
        self.X = X
        self.y = y
        self.metadata = metadata
        self.prepared: dict[Any, tuple[Pipeline | None, Any]] = {}

    def prepare(self, estimator: Any, group: Group) -> tuple[Pipeline | None, Any]:
        """Return the fitted steps before the classifier, None if there are none, and X as it gets there.

        Groups with the same parameters of these steps share them.
        """
        if not isinstance(estimator, Pipeline) or len(estimator.steps) == 1:
            return None, self.X
        prefix = prefix_of(estimator)
        key = _key({name: value for name, value in group.shared.items() if not name.startswith(prefix)})
        if key not in self.prepared:
            steps = estimator[:-1]
            params = _params_before_classifier(estimator, self.metadata)
            self.prepared[key] = steps, steps.fit_transform(self.X, self.y, **params)
        return self.prepared[key]


def classifier_metadata(estimator: Any, metadata: Parameters) -> Parameters:
    """Return what the classifier's fit gets of a search's metadata."""
    if not isinstance(estimator, Pipeline):
        return metadata
    if routing_enabled():
        return dict(process_routing(estimator, "fit", **metadata)[estimator.steps[-1][0]].fit)
    prefix = prefix_of(estimator)
    own = {name.removeprefix(prefix): value for name, value in metadata.items() if name.startswith(prefix)}
    return own | {name: value for name, value in metadata.items() if name in _METADATA}


def pipeline_metadata(estimator: Any, metadata: Parameters) -> Parameters:
    """Return a search's metadata under the names that the whole estimator's fit knows."""
    if not isinstance(estimator, Pipeline) or routing_enabled():
        return metadata
    prefix = prefix_of(estimator)
    return {f"{prefix}{name}" if name in _METADATA else name: value for name, value in metadata.items()}


def _params_before_classifier(estimator: Pipeline, metadata: Parameters) -> Parameters:
    if routing_enabled():
        routing = get_routing_for_object(estimator[:-1])
        wanted = routing.consumes("fit_transform", metadata.keys())
        return {name: value for name, value in metadata.items() if name in wanted}
    prefix = prefix_of(estimator)
    return {
        name: value
        for name, value in metadata.items()
        if name not in _METADATA and not name.startswith(prefix)
    }


def joined(estimator: Any, steps: Pipeline | None, net: InstanceSmoothedClassifier) -> Any:
    """Return a fitted estimator of the searched one's type: the fitted steps with the fitted classifier."""
    if not isinstance(estimator, Pipeline):
        return net
    before = [] if steps is None else steps.steps
    whole = copy.copy(estimator)
    whole.steps = [*before, (estimator.steps[-1][0], net)]
    return whole


# --- training -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """A candidate after its training: its fitted classifier, or why it has none."""

    position: int  # in its group
    net: InstanceSmoothedClassifier | None
    error: Exception | None


def fit_candidates(
    net: InstanceSmoothedClassifier,
    smoothing: list[Parameters],
    X: Any,
    y: NDArray[Any],
    metadata: Parameters,
    *,
    max_parallel: int | None,
    progress: Progress,
    on_refusal: Callable[[str], None],
) -> Iterator[Outcome]:
    """Fit a classifier with each of several smoothing parameters, on the same rows.

    Parameters
    ----------
    net : InstanceSmoothedClassifier
        Unfitted, with an integer `random_state`; serves as the candidates' common part.
    smoothing : list of dict
        Parameters ``smoothing`` and ``smoothing__...`` of each candidate.
    X, y, metadata
        As passed to the classifier's fit.
    max_parallel : int or None
        Largest number of candidates in a stack.
    progress : callable
        Told the share of the work that was done since it was told last.
    on_refusal : callable
        Told why the candidates cannot be stacked, before they are trained one by one.

    Yields
    ------
    Outcome
        One of each candidate, fitted just before it comes; in order, but that failed ones may come earlier.
    """
    unknown = sorted(set(metadata) - set(_METADATA))
    if unknown:
        raise TypeError(f"InstanceSmoothedClassifier.fit takes {', '.join(_METADATA)}, but got {unknown}.")
    net._check_parameters()
    seed = draw_seed(net.random_state)
    with net._on_device(), seeded(seed, net.device):
        task = make_task(
            net,
            X,
            y,
            sample_weight=metadata.get("sample_weight"),
            groups=metadata.get("groups"),
            classes=None,
            seed=seed,
        )
        net.classes_inferred_ = task.classes
        teacher = _SharedTeacher(net, task, metadata.get("teacher_proba"))
    stacked = len(smoothing) > 1
    if stacked and (reason := why_not_stackable(net, task)) is not None:
        on_refusal(reason)
        stacked = False
    size = (max_parallel or affordable_size(net, task)) if stacked else 1
    for start in range(0, len(smoothing), size):
        part = smoothing[start : start + size]
        share = part_of(progress, len(part) / len(smoothing))
        for outcome in _fit_part(net, part, task, teacher, share, stacked=stacked):
            yield replace(outcome, position=start + outcome.position)


def _fit_part(
    net: InstanceSmoothedClassifier,
    smoothing: list[Parameters],
    task: Task,
    teacher: "_SharedTeacher",
    progress: Progress,
    *,
    stacked: bool,
) -> Iterator[Outcome]:
    """Build and fit the candidates of one stack, or one alone."""
    with net._on_device(), seeded(task.seed, net.device):
        built = [_build(net, params, task, teacher) for params in smoothing]
    good = []
    for position, candidate in enumerate(built):
        if isinstance(candidate, Candidate):
            good.append((position, candidate))
        else:
            yield Outcome(position, None, candidate)
    candidates = [candidate for _, candidate in good]
    if stacked and candidates:
        errors = train_stacked(net, candidates, task, progress)
    else:
        errors = (_train_alone(candidate, task, progress) for candidate in candidates)
    for (position, candidate), error in zip(good, errors, strict=True):
        yield Outcome(position, None if error else candidate.net, error)


class _SharedTeacher:
    """The one teacher of all candidates, fitted when the first of them asks."""

    def __init__(self, net: InstanceSmoothedClassifier, task: Task, teacher_proba: Any) -> None:
        self.net = net
        self.task = task
        self.proba = net._checked_teacher_proba(task, teacher_proba)
        self.answer: TeacherView | Exception | None = None

    def view(self) -> TeacherView:
        if self.answer is None:
            try:
                self.answer = self.net._teacher_view(self.task, self.proba)
            except Exception as error:  # each candidate that needs the teacher has failed by it
                self.answer = error
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def _build(
    net: InstanceSmoothedClassifier, params: Parameters, task: Task, teacher: _SharedTeacher
) -> Candidate | Exception:
    """Return a candidate with its targets, or why it has none."""
    try:
        member = clone(net).set_params(**clone(params, safe=False))
        member._check_parameters()
        member._adopt(net)
        member.smoothing_ = resolve_rule(member.smoothing)
        view = teacher.view() if member.smoothing_.needs_teacher else None
        return Candidate(member, member._smoothed(task, view))
    except Exception as error:
        return error


def _train_alone(candidate: Candidate, task: Task, progress: Progress) -> Exception | None:
    net = candidate.net
    try:
        with net._forgetting_on_error(), net._on_device():
            net._train(candidate.rows, task.valid, seed=task.seed, y=task.y[task.train_index])
    except Exception as error:
        return error
    progress(1.0)
    return None

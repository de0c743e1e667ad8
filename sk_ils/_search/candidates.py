"""The candidates of a search: which of them share a stack, and how they are fitted on one fold."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from sklearn.base import clone

from sk_ils._net.fit_data import FitData
from sk_ils._net.seeding import draw_seed
from sk_ils._net.teachers import TeacherOutput
from sk_ils._search.pipelines import METADATA, Parameters, parameters_key
from sk_ils._search.support import affordable_size, why_not_stackable
from sk_ils._search.training import Candidate, Progress, is_out_of_memory, train_stacked
from sk_ils.classifiers import InstanceSmoothedClassifier
from sk_ils.smoothing import resolve_rule


@dataclass(frozen=True)
class Group:
    """Candidates that differ in their smoothing only.

    Parameters
    ----------
    shared : dict
        The parameters that are no smoothing.
    smoothing : dict of dict
        The smoothing parameters by candidate index, without the classifier's prefix.
    """

    shared: Parameters
    smoothing: dict[int, Parameters]


def group_candidates(candidates: list[Parameters], prefix: str) -> list[Group]:
    """Return the candidates grouped by all parameters but the smoothing, in their order."""
    groups: dict[Any, Group] = {}
    for candidate_index, params in enumerate(candidates):
        smoothing = {name: value for name, value in params.items() if _is_smoothing(name, prefix)}
        shared = {name: value for name, value in params.items() if name not in smoothing}
        group = groups.setdefault(parameters_key(shared), Group(shared, {}))
        group.smoothing[candidate_index] = {
            name.removeprefix(prefix): value for name, value in smoothing.items()
        }
    return list(groups.values())


def _is_smoothing(name: str, prefix: str) -> bool:
    bare = name.removeprefix(prefix)
    return name.startswith(prefix) and (bare == "smoothing" or bare.startswith("smoothing__"))


def fit_candidates(
    net: InstanceSmoothedClassifier,
    smoothing: dict[int, Parameters],
    X: Any,
    y: NDArray[Any],
    metadata: Parameters,
    *,
    max_parallel: int | None,
    progress: Progress,
    on_refusal: Callable[[str], None],
) -> Iterator[Candidate]:
    """Fit a classifier with each of several smoothing parameters, on the same samples.

    Parameters
    ----------
    net : InstanceSmoothedClassifier
        Unfitted, with an integer `random_state`; serves as the candidates' common part.
    smoothing : dict of dict
        Parameters ``smoothing`` and ``smoothing__...`` by candidate index.
    X, y, metadata
        As passed to the classifier's fit.
    max_parallel : int or None
        Largest number of candidates in a stack.
    progress : Progress
    on_refusal : callable
        Told why the candidates cannot be stacked, before they are trained one by one.

    Yields
    ------
    Candidate
        Each of them, fitted or with its error. It is fitted just before it is yielded and emptied
        after that, so that one fitted network exists at a time.
    """
    candidates = [Candidate(index, params) for index, params in smoothing.items()]
    try:
        data = _prepare(net, X, y, metadata)
        teacher = _SharedTeacher(net, data)
        size = _stack_size(net, data, max_parallel, on_refusal) if len(candidates) > 1 else None
    except Exception as error:  # what fails before the first candidate fails all of them
        for candidate in candidates:
            candidate.error = error
            yield candidate
        return
    chunks = _chunks(candidates, size or 1)
    work = list(zip(chunks, progress.split([len(chunk) for chunk in chunks]), strict=True))
    while work:
        chunk, part = work.pop(0)
        _build(net, chunk, data, teacher)
        if size is not None and not _train_chunk(net, chunk, data, part):
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            halves = _chunks(chunk, (len(chunk) + 1) // 2)
            work[:0] = zip(halves, part.split([len(half) for half in halves]), strict=True)
            continue
        for candidate in chunk:
            _finish(candidate, data)
            part.advance(1 / len(chunk))
            yield candidate
            candidate.release()


def _chunks(candidates: list[Candidate], size: int) -> list[list[Candidate]]:
    return [candidates[start : start + size] for start in range(0, len(candidates), size)]


def _prepare(net: InstanceSmoothedClassifier, X: Any, y: NDArray[Any], metadata: Parameters) -> FitData:
    unknown = sorted(set(metadata) - set(METADATA))
    if unknown:
        raise TypeError(f"InstanceSmoothedClassifier.fit takes {', '.join(METADATA)}, but got {unknown}.")
    net.check_parameters()
    seed = draw_seed(net.random_state)
    with net.fit_session(seed):
        return net.prepare_fit(X, y, seed=seed, **metadata)


def _stack_size(
    net: InstanceSmoothedClassifier,
    data: FitData,
    max_parallel: int | None,
    on_refusal: Callable[[str], None],
) -> int | None:
    """Return how many candidates a stack may hold, None if they cannot be stacked."""
    reason = why_not_stackable(net, data)
    if reason is not None:
        on_refusal(reason)
        return None
    return max_parallel or affordable_size(net, data)


class _SharedTeacher:
    """The one teacher of all candidates, fitted when the first of them asks."""

    def __init__(self, net: InstanceSmoothedClassifier, data: FitData) -> None:
        self.net = net
        self.data = data
        self.output: TeacherOutput | None = None
        self.error: Exception | None = None

    def ask(self) -> TeacherOutput:
        """Return the teacher's output, or raise what its only fit raised, for each who needs it."""
        if self.output is None and self.error is None:
            try:
                self.output = self.net.fit_teacher(self.data)
            except Exception as error:
                self.error = error
        if self.output is None:
            assert self.error is not None
            raise self.error
        return self.output


def _build(
    net: InstanceSmoothedClassifier, chunk: list[Candidate], data: FitData, teacher: _SharedTeacher
) -> None:
    """Give candidates a classifier of their own and the samples with their targets, or an error."""
    with net.fit_session(data.seed):
        for candidate in chunk:
            if candidate.is_built:
                continue
            try:
                own = clone(net).set_params(**clone(candidate.params, safe=False))
                own.check_parameters()
                output = teacher.ask() if resolve_rule(own.smoothing).needs_teacher else None
                candidate.samples = own.set_targets(data, output)
                candidate.net = own
            except Exception as error:
                candidate.error = error


def _train_chunk(
    net: InstanceSmoothedClassifier, chunk: list[Candidate], data: FitData, progress: Progress
) -> bool:
    """Train the candidates that were built as one stack; return whether the memory was enough."""
    built = [candidate for candidate in chunk if candidate.error is None]
    if not built:
        return True
    try:
        train_stacked(net, built, data, progress)
    except Exception as error:
        if len(chunk) > 1 and is_out_of_memory(error):
            return False
        for candidate in built:
            candidate.error = error
    return True


def _finish(candidate: Candidate, data: FitData) -> None:
    """Make a candidate's classifier a fitted one: with what the stack came to, or trained alone."""
    if candidate.error is not None:
        return
    assert candidate.net is not None
    assert candidate.samples is not None
    try:
        if candidate.result is not None:
            candidate.net.load_result(candidate.result, data)
        else:
            candidate.net.run_training(candidate.samples, data.valid, data.seed)
    except Exception as error:
        candidate.error = error

"""The candidates of a search: which of them share a stack, and how they are fitted on one fold."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray
from sklearn.base import clone

from sk_ils._net.fit_data import FitData, HeldOut
from sk_ils._net.module_errors import is_out_of_memory
from sk_ils._net.teachers import TeacherOutput
from sk_ils._samples import SampleSet
from sk_ils._search.memory import give_back_memory
from sk_ils._search.pipelines import METADATA, Parameters, parameters_key
from sk_ils._search.support import affordable_size, why_not_stackable
from sk_ils._search.training import Candidate, Progress, StackedTargets, train_stacked
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
    held_out: HeldOut | None = None,
    max_parallel: int | None,
    n_workers: int = 1,
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
    held_out : HeldOut, default=None
        The hold-out, if it is not to be a part of X.
    max_parallel : int or None
        Largest number of candidates in a stack.
    n_workers : int, default=1
        Processes that may do the same at the same time, and share the memory.
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
        data = _prepare(net, X, y, metadata, held_out)
        teacher = _SharedTeacher(net, data)
        size = _stack_size(net, data, max_parallel, n_workers, on_refusal) if len(candidates) > 1 else None
    except Exception as error:  # what fails before the first candidate fails all of them
        for candidate in candidates:
            candidate.error = error
            yield candidate
        return
    chunks = _chunks(candidates, size or 1)
    work = list(zip(chunks, progress.split([len(chunk) for chunk in chunks]), strict=True))
    while work:
        chunk, part = work.pop(0)
        if size is not None and not _train_chunk(net, chunk, data, teacher, part):
            give_back_memory()
            if len(chunk) > 1:
                halves = _chunks(chunk, (len(chunk) + 1) // 2)
                work[:0] = zip(halves, part.split([len(half) for half in halves]), strict=True)
                continue
            # A network alone takes less than a stack of one.
        for candidate in chunk:
            _finish(net, candidate, data, teacher)
            part.advance(1 / len(chunk))
            yield candidate
            candidate.release()


def _chunks(candidates: list[Candidate], size: int) -> list[list[Candidate]]:
    return [candidates[start : start + size] for start in range(0, len(candidates), size)]


def _prepare(
    net: InstanceSmoothedClassifier, X: Any, y: NDArray[Any], metadata: Parameters, held_out: HeldOut | None
) -> FitData:
    unknown = sorted(set(metadata) - set(METADATA))
    if unknown:
        raise TypeError(f"InstanceSmoothedClassifier.fit takes {', '.join(METADATA)}, but got {unknown}.")
    net.check_parameters()
    seed = net.draw_seed()
    with net.fit_session(seed):
        return net.prepare_fit(X, y, seed=seed, held_out=held_out, **metadata)


def _stack_size(
    net: InstanceSmoothedClassifier,
    data: FitData,
    max_parallel: int | None,
    n_workers: int,
    on_refusal: Callable[[str], None],
) -> int | None:
    """Return how many candidates a stack may hold, None if they cannot be stacked."""
    reason = why_not_stackable(net, data)
    if reason is not None:
        if reason:
            on_refusal(reason)
        return None
    return max_parallel or affordable_size(net, data, n_workers)


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
                if is_out_of_memory(error):  # a smaller stack may leave enough
                    raise
                self.error = error
        if self.output is None:
            assert self.error is not None
            raise self.error
        return self.output


def _train_chunk(
    net: InstanceSmoothedClassifier,
    chunk: list[Candidate],
    data: FitData,
    teacher: _SharedTeacher,
    progress: Progress,
) -> bool:
    """Train candidates as one stack; return whether the memory was enough."""
    built: list[Candidate] = []
    try:
        samples = _build_stack(net, chunk, built, data, teacher)
        if built:
            train_stacked(net, built, samples, data, progress)
    except Exception as error:
        if is_out_of_memory(error):
            for candidate in chunk:
                candidate.release()
            return False
        for candidate in built:
            candidate.error = error
    return True


def _build_stack(
    net: InstanceSmoothedClassifier,
    chunk: list[Candidate],
    built: list[Candidate],
    data: FitData,
    teacher: _SharedTeacher,
) -> SampleSet:
    """Build the candidates of a stack and note those that could be built; return their samples."""
    stacked = StackedTargets(data.train.samples, len(chunk), len(net.classes_))
    for candidate in chunk:
        if candidate.error is not None:
            continue
        try:
            stacked.add(_build(net, candidate, data, teacher).soft)
        except Exception as error:
            if is_out_of_memory(error):
                raise
            candidate.error = error
        else:
            built.append(candidate)
    return stacked.sample_set()


def _build(
    net: InstanceSmoothedClassifier, candidate: Candidate, data: FitData, teacher: _SharedTeacher
) -> SampleSet:
    """Give a candidate a classifier of its own; return the training samples with its targets."""
    with net.fit_session(data.seed):
        own = clone(net).set_params(**clone(candidate.params, safe=False))
        own.check_parameters()
        output = teacher.ask() if resolve_rule(own.smoothing).needs_teacher else None
        samples: SampleSet = own.set_targets(data, output)
    candidate.net = own
    return samples


def _finish(
    net: InstanceSmoothedClassifier, candidate: Candidate, data: FitData, teacher: _SharedTeacher
) -> None:
    """Make a candidate's classifier a fitted one: with what the stack came to, or trained alone."""
    if candidate.error is not None:
        return
    try:
        if candidate.result is None:
            samples = _build(net, candidate, data, teacher)
            assert candidate.net is not None
            candidate.net.run_training(samples, data.valid, data.seed)
        else:
            assert candidate.net is not None
            candidate.net.load_result(candidate.result, data)
    except Exception as error:
        candidate.error = error
        if is_out_of_memory(error):
            error.add_note(
                "The memory does not suffice for this candidate alone. Lower batch_size, or take a smaller "
                "module, fewer rows, or dtype='float32'."
            )

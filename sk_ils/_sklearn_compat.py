"""The one door to scikit-learn's private helpers, so that one file changes when they do."""

import html
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import takewhile
from traceback import format_exc
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics._scorer import _MultimetricScorer, _Scorer
from sklearn.model_selection import _search
from sklearn.model_selection._validation import (
    _insert_error_scores as insert_error_scores,
)
from sklearn.model_selection._validation import _score
from sklearn.model_selection._validation import (
    _warn_or_raise_about_fit_failures as warn_or_raise_about_fit_failures,
)
from sklearn.utils import _safe_indexing as safe_indexing
from sklearn.utils._metadata_requests import _routing_enabled as routing_enabled
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    InvalidParameterError,
    Options,
    StrOptions,
    validate_parameter_constraints,
)
from sklearn.utils.metaestimators import available_if as untyped_available_if
from sklearn.utils.validation import _check_method_params as check_method_params
from sklearn.utils.validation import _check_sample_weight

try:
    from sklearn.externals._numpydoc.docscrape import NumpyDocString
except ImportError:  # before scikit-learn 1.8 the table of parameters has no texts
    NumpyDocString = None

try:
    from sklearn.callback import CallbackSupportMixin
    from sklearn.callback import with_callbacks as untyped_with_callbacks
except ImportError:  # before scikit-learn 1.9 there are no callbacks

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """What estimators with callbacks inherit: nothing."""

    untyped_with_callbacks = None


# How many stack levels `with_callbacks` is between a method and its caller.
CALLBACK_LEVELS = 0 if untyped_with_callbacks is None else 1

__all__ = [
    "CALLBACK_LEVELS",
    "NO_TASK",
    "BaseSearchCV",
    "CallbackSupportMixin",
    "DocLinkMixin",
    "FitTask",
    "HasMethods",
    "Interval",
    "InvalidParameterError",
    "Options",
    "ResponseScorer",
    "StrOptions",
    "available_if",
    "check_method_params",
    "check_sample_weight",
    "has_callbacks",
    "insert_error_scores",
    "last_words",
    "parameter_table",
    "routing_enabled",
    "safe_indexing",
    "score_estimator",
    "scorer_name",
    "validate_parameter_constraints",
    "warn_or_raise_about_fit_failures",
    "with_callbacks",
]

ResponseScorer: Any = _Scorer

Method = TypeVar("Method", bound=Callable[..., Any])

if TYPE_CHECKING:
    # scikit-learn has no types: this says what a search that is fitted has and what its methods
    # return.
    class _TypedSearch(_search.BaseSearchCV):
        best_estimator_: Any
        best_index_: int
        best_params_: dict[str, Any]
        best_score_: float
        cv_results_: dict[str, Any]
        multimetric_: bool
        n_splits_: int
        refit_time_: float
        scorer_: Any

        @property
        def classes_(self) -> NDArray[Any]: ...
        @property
        def n_features_in_(self) -> int: ...
        def predict(self, X: Any) -> NDArray[Any]: ...
        def predict_proba(self, X: Any) -> NDArray[np.floating]: ...
        def decision_function(self, X: Any) -> NDArray[np.floating]: ...
        def score(self, X: Any, y: Any = None, **params: Any) -> float: ...

    BaseSearchCV = _TypedSearch
else:
    BaseSearchCV = _search.BaseSearchCV


class DocLinkMixin:
    """Where a notebook's picture of an estimator links to: the page of its class in the docs.

    scikit-learn reads the three names; it links no class that is defined outside of the package.
    """

    _doc_link_module = "sk_ils"
    _doc_link_template = "https://sk-ils.github.io/sk-ils/api/generated/{page}.html"

    def _doc_link_url_param_generator(self) -> dict[str, str]:
        """Return the page's name, which is the path under which the class is public."""
        ours = (cls for cls in type(self).__mro__ if cls.__module__.startswith("sk_ils."))
        public = next(cls for cls in ours if not cls.__name__.startswith("_"))
        parts = takewhile(lambda part: not part.startswith("_"), public.__module__.split("."))
        module = "sk_ils" if public.__name__ in sys.modules["sk_ils"].__all__ else ".".join(parts)
        return {"page": f"{module}.{public.__name__}"}


def available_if(check: Callable[[Any], bool]) -> Callable[[Method], Method]:
    """Return scikit-learn's decorator, for type checkers one that keeps a method's type."""
    decorator: Callable[[Method], Method] = untyped_available_if(check)
    return decorator


def with_callbacks(method: Method) -> Method:
    """Return a method that tears callbacks down at its end, however it ends."""
    if untyped_with_callbacks is None:
        return method
    managed: Method = untyped_with_callbacks(method)
    return managed


def check_sample_weight(sample_weight: ArrayLike, n_samples: int) -> NDArray[np.float64]:
    """Return weights with the mean 1 over the rows that have any, so that their scale says nothing.

    Raises ValueError if a weight is negative, NaN or infinite, or if all are zero (scikit-learn 1.8
    does not check that).
    """
    try:
        numbers = np.asarray(sample_weight, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"sample_weight must hold numbers: {error}") from error
    weight: NDArray[np.float64] = _check_sample_weight(
        numbers, np.empty(n_samples), dtype=np.float64, ensure_non_negative=True
    )
    if not weight.any():
        raise ValueError("Sample weights must contain at least one non-zero number.")
    weight = weight / weight.max()  # first, because the sum of large weights overflows
    scaled: NDArray[np.float64] = weight / (weight.sum() / np.count_nonzero(weight))
    return scaled


class _ToldScorer(_MultimetricScorer):
    """Several scorers whose failures, which are texts here, are told to a function."""

    def __init__(self, scorers: Any, tell: Callable[[str], None]) -> None:
        super().__init__(scorers=scorers._scorers, raise_exc=scorers._raise_exc)
        self.tell = tell

    def __call__(self, estimator: Any, *args: Any, **kwargs: Any) -> Any:
        scores = super().__call__(estimator, *args, **kwargs)
        for score in scores.values():
            if isinstance(score, str):
                self.tell(score)
        return scores


def score_estimator(
    estimator: Any, X: Any, y: Any, scorers: Any, params: Any, error_score: Any, tell: Callable[[str], None]
) -> Any:
    """Score as scikit-learn's searches do; a failing scorer's traceback is told to a function."""

    def told(*args: Any, **kwargs: Any) -> Any:
        try:
            return scorers(*args, **kwargs)
        except Exception:
            tell(format_exc())
            raise

    several = isinstance(scorers, _MultimetricScorer)
    return _score(estimator, X, y, _ToldScorer(scorers, tell) if several else told, params, error_score)


def last_words(text: str) -> str:
    """Return what a traceback ends with, the error and its message, in one line."""
    return " ".join(text.rstrip().rpartition("\n  ")[2].partition("\n")[2].split())


def scorer_name(scorer: Any) -> str | None:
    """Return what a scorer scores: its function's name, or its `score_name`.

    A function whose sign the scorer flips gets "neg_" in front. None for a lambda, and for an
    object without a name.
    """
    function = getattr(scorer, "_score_func", None)
    if function is not None:
        name = getattr(function, "__name__", "")
        return f"neg_{name}" if name and scorer._sign < 0 else name or None
    name = getattr(scorer, "score_name", getattr(scorer, "__name__", ""))
    return name if name.isidentifier() else None


def parameter_table(show: Callable[..., Any], owner: type, doc_link: str) -> Any:
    """Return what a notebook shows of parameters, with what each is when the mouse is over it.

    scikit-learn does so only beside a link to documentation on the web. `show` is its own
    `_get_params_html`. Deep parameters stay out: those of skorch's default callbacks are more than
    all others.
    """
    if NumpyDocString is None:
        return show(deep=False)
    table = show(deep=False, doc_link=doc_link)
    documented = NumpyDocString(inspect.getdoc(owner) or "")["Parameters"]
    texts = {name: " ".join(entry.desc) for entry in documented for name in entry.name.split(", ")}

    def with_texts(show: Any) -> str:
        shown: str = show()
        for name, text in texts.items():
            title = html.escape(text)
            shown = shown.replace(f'<td class="param">{name}<', f'<td class="param" title="{title}">{name}<')
        return shown

    table._html_repr = partial(with_texts, table._html_repr)
    return table


# --- callbacks of scikit-learn 1.9 ----------------------------------------------------------------


def has_callbacks(estimator: Any) -> bool:
    """Return whether `set_callbacks` gave an estimator any, by itself or through another one."""
    return bool(getattr(estimator, "_skl_callbacks", None))


class FitTask:
    """A task of a fit, such as an epoch, as scikit-learn's callbacks see it.

    Parameters
    ----------
    estimator : estimator
        Whose fit it is.
    context : CallbackContext or None
        None if there are no callbacks: then nothing happens.
    data : callable
        Returns X, y and sample_weight (or None) of the task, if a callback asks for them.
    """

    def __init__(self, estimator: Any, context: Any, data: Callable[[], tuple[Any, Any, Any]]) -> None:
        self.estimator = estimator
        self.context = context
        self.data = data

    @classmethod
    def root(cls, estimator: Any, n_subtasks: int, data: Callable[[], tuple[Any, Any, Any]]) -> "FitTask":
        """Begin a fit, inside a method that is decorated by `with_callbacks`."""
        if not (has_callbacks(estimator) or hasattr(estimator, "_parent_callback_ctx")):
            return NO_TASK
        context = estimator._init_callback_context(max_subtasks=n_subtasks)
        return cls(estimator, context, data)._begun()

    def with_data(self, data: Callable[[], tuple[Any, Any, Any]]) -> "FitTask":
        """Return the same task, whose parts have other data than itself."""
        return FitTask(self.estimator, self.context, data)

    def subtask(
        self, name: str, n_subtasks: int = 0, *, number: int | None = None, in_order: bool = True
    ) -> "FitTask":
        """Begin a task that is a part of this one; it has a number if those are not in order."""
        if self.context is None:
            return self
        context = self.context.subcontext(
            task_name=name, task_id=number, max_subtasks=n_subtasks, sequential_subtasks=in_order
        )
        return FitTask(self.estimator, context, self.data)._begun()

    def _begun(self) -> "FitTask":
        if has_callbacks(self.estimator):
            self.context.call_on_fit_task_begin(estimator=self.estimator, **self._given())
        return self

    def end(self, attributes: Callable[[], dict[str, Any]] | None = None) -> bool:
        """End the task; return whether a callback asks to go on with no other one like it.

        With `attributes` the estimator can predict as it is now: a callback that asks for it gets a
        copy that has these attributes in the place of its own.
        """
        if self.context is None or not has_callbacks(self.estimator):
            return False
        stops = self.context.call_on_fit_task_end(
            estimator=self.estimator, reconstruction_attributes=attributes, **self._given()
        )
        return bool(stops)

    def _given(self) -> dict[str, Any]:
        return {"X": lambda: self.data()[0], "y": lambda: self.data()[1], "metadata": self._metadata}

    def _metadata(self) -> dict[str, Any] | None:
        weight = self.data()[2]
        return None if weight is None else {"sample_weight": weight}

    @contextmanager
    def handed_on_to(self, estimator: Any) -> Iterator[None]:
        """Let another estimator's fit be this task, and have the callbacks that want that."""
        if self.context is None:
            yield
            return
        with self.context.propagate_callback_context(estimator):
            yield


NO_TASK = FitTask(None, None, lambda: (None, None, None))

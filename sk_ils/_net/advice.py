"""Warnings about input and modules that train, but badly; each once a fit or search."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from torch import Tensor

_SUM_TOLERANCE = 1e-3

_given: ContextVar[set[str] | None] = ContextVar("given", default=None)


@contextmanager
def each_once() -> Iterator[None]:
    """Give each piece of advice once in the block; blocks inside of it share what was given.

    A teacher's fit is inside the student's, and all fits of a search inside the search's.
    """
    if _given.get() is not None:
        yield
        return
    token = _given.set(set())
    try:
        yield
    finally:
        _given.reset(token)


def advise(topic: str, text: str) -> None:
    """Warn, but inside of :func:`each_once` of each topic once."""
    given = _given.get()
    if given is None or topic not in given:
        warnings.warn(text, stacklevel=2)
    if given is not None:
        given.add(topic)


def advise_on_probabilities(logits: Tensor) -> None:
    """Warn of a module that ends in a softmax or sigmoid.

    Parameters
    ----------
    logits : Tensor of shape (n_samples, n_classes)
        What the module gave for a batch. A sigmoid is told by the gradient's graph.
    """
    values = logits.detach()
    is_softmax = bool((values >= 0).all()) and bool((values.sum(dim=1) - 1).abs().max() < _SUM_TOLERANCE)
    if is_softmax or (logits.grad_fn is not None and logits.grad_fn.name().startswith("SigmoidBackward")):
        kind = "softmax" if is_softmax else "sigmoid"
        advise(
            "probabilities",
            f"The module returns probabilities, as a {kind} at its end gives them, but they are trained as "
            f"logits, which gives badly calibrated, underconfident predictions: remove the last {kind}.",
        )

"""What an estimator was before a call, for calls that fail: they must not lose what was fitted."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from sklearn.base import BaseEstimator
from skorch import NeuralNet

# Whether a network was trained by a step or more since the call began.
_has_stepped: ContextVar[bool] = ContextVar("_has_stepped", default=False)


def note_training_step() -> None:
    """Tell the call that is going on that a network, also a teacher, is no longer as it was."""
    _has_stepped.set(True)


@contextmanager
def undone_on_error(net: Any, *, goes_on: bool) -> Iterator[None]:
    """Keep what a network was before the block, in case the block fails or is interrupted.

    Parameters
    ----------
    net : NeuralNet
    goes_on : bool
        True if the block changes what is there: an error restores it. False if it begins with an
        unfitted network: an error restores what was there unless a training step was made, which
        leaves the network unfitted.

    Yields
    ------
    None
        The block runs inside.
    """
    before = _Copy(net) if goes_on else _Attributes(net)
    token = _has_stepped.set(False)
    try:
        if not goes_on:
            net._reset()
        yield
    except BaseException:
        if goes_on or not _has_stepped.get():
            before.restore()
        else:
            net._reset()
        raise
    finally:
        has_stepped = _has_stepped.get()
        _has_stepped.reset(token)
        if has_stepped:  # the block may be a part of another one: a teacher's fit inside a student's
            note_training_step()


@contextmanager
def parameters_undone_on_error(estimator: BaseEstimator) -> Iterator[None]:
    """Keep the parameters of an estimator and its parts, in case setting some of them fails."""
    before = [_Attributes(part) for part in _estimators_in(estimator)]
    try:
        yield
    except BaseException:
        for part in before:
            part.restore()
        raise


def _estimators_in(estimator: Any) -> Iterator[Any]:
    """Yield an estimator and those among its attributes, with all parts that they have."""
    yield estimator
    for value in filter(_is_estimator, vars(estimator).values()):
        yield value
        yield from filter(_is_estimator, value.get_params(deep=True).values())


def _is_estimator(value: Any) -> bool:
    return hasattr(value, "get_params") and hasattr(value, "__dict__") and not isinstance(value, type)


class _Attributes:
    """An object's attributes: enough for what is replaced, not for what is changed in place."""

    def __init__(self, owner: Any) -> None:
        self.owner = owner
        self.attributes = dict(vars(owner))

    def restore(self) -> None:
        self.owner.__dict__.clear()
        self.owner.__dict__.update(self.attributes)


class _Copy(_Attributes):
    """Also the state of all that training changes in place, in a network and in its teacher."""

    def __init__(self, owner: Any) -> None:
        super().__init__(owner)
        names = (*owner._modules, *owner._criteria, *owner._optimizers)
        parts: list[Any] = [getattr(owner, f"{name}_", None) for name in names]
        self.states = [
            (part, copy.deepcopy(part.state_dict())) for part in parts if hasattr(part, "state_dict")
        ]
        # Only the last epoch's record can still change.
        self.history: Any = owner.history_
        if self.history is not None:
            self.epochs = [*self.history[:-1], *copy.deepcopy(self.history[-1:])]
        # The callbacks that record the history know its best values; those of the user are theirs.
        recording = {name for name, _ in owner.get_default_callbacks()}
        callbacks = getattr(owner, "callbacks_", [])
        self.inner = [_Attributes(callback) for name, callback in callbacks if name in recording]
        fitted = {name: value for name, value in vars(owner).items() if name.endswith("_")}
        self.inner += [_Copy(value) for value in fitted.values() if isinstance(value, NeuralNet)]

    def restore(self) -> None:
        super().restore()
        for part, state in self.states:
            part.load_state_dict(state)
        if self.history is not None:
            self.history[:] = self.epochs
        for part in self.inner:
            part.restore()

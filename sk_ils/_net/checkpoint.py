"""Where a training has got to, in a file, so that a killed process can go on."""

import io
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

import joblib
import numpy as np
import torch

from sk_ils._files import write_atomically
from sk_ils._net.distributed import share_of
from sk_ils._net.teacher_cache import content
from sk_ils._net.training import BestEpoch, TrainingState
from sk_ils._sklearn_compat import InvalidParameterError

State = dict[str, Any]
# The share of the time that may go into writing files.
_SHARE = 0.05
# Parameters on which the numbers of a training do not depend.
_NO_MATTER = {"checkpoint", "memory", "verbose"}


class Keeps(Protocol):
    """What an estimator says of its checkpoints."""

    checkpoint: Any
    random_state: Any
    callbacks: Any
    warm_start: bool

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return parameters by name."""


def check_checkpoint(net: Keeps, *, seed: int | None = None) -> None:
    """Raise unless an estimator's checkpoints can be written, and found again.

    Parameters
    ----------
    net : estimator
    seed : int or None, default=None
        What stands for ``random_state=None``, as of a teacher the student's seed.

    Raises
    ------
    InvalidParameterError
        If a training could not be continued with the same numbers.
    OSError
        If the folder cannot be written to.
    """
    if net.checkpoint is None:
        return
    given = seed if net.random_state is None else net.random_state
    if not isinstance(given, int | np.integer):
        raise InvalidParameterError(
            "checkpoint= finds the files of an earlier run by the seed: pass an integer random_state, got "
            f"{net.random_state!r}."
        )
    if net.callbacks not in (None, "disable", []):
        raise InvalidParameterError(
            "checkpoint= cannot keep what callbacks remember: pass callbacks=None, or checkpoint=None."
        )
    if net.warm_start:
        raise InvalidParameterError(
            "checkpoint= starts a training anew or goes on with the same one, and warm_start=True goes on "
            "with another one: pass one of them."
        )
    if share_of(net) is not None:
        raise InvalidParameterError(
            "checkpoint= keeps a network that one process trains; with an accelerator of several processes "
            "pass checkpoint=None."
        )
    folder = Path(net.checkpoint)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / "writable", b"")
    except OSError as error:
        raise OSError(
            error.errno, f"checkpoint={str(folder)!r} is no folder to write to ({error.strerror})"
        ) from error


class Checkpoint:
    """The file of one training.

    Parameters
    ----------
    folder : path
        Exists.
    parts : object
        All that the training's numbers depend on.
    """

    def __init__(self, folder: Any, parts: Any) -> None:
        key = joblib.hash(content([torch.__version__, parts]))
        self.file = Path(folder) / f"{key}.pt"
        self.cost = 0.0  # seconds of the last writing
        self.last = time.monotonic()

    @classmethod
    def of(cls, net: Keeps, *parts: Any) -> "Checkpoint | None":
        """Return the file of an estimator's training on some data, None if it keeps none."""
        if net.checkpoint is None:
            return None
        params = {name: value for name, value in net.get_params(deep=False).items() if name not in _NO_MATTER}
        return cls(net.checkpoint, [type(net), params, *parts])

    def load(self) -> State | None:
        """Return what an earlier process has kept, on the CPU; None if there is nothing.

        Raises
        ------
        ValueError
            If the file is none of ours, or not whole.
        """
        if not self.file.exists():
            return None
        try:
            state: State = torch.load(self.file, map_location="cpu", weights_only=True)
        except Exception as error:
            raise ValueError(
                f"{self.file} is no checkpoint, or was changed: delete it, and the training starts anew."
            ) from error
        return state

    def save_if_due(self, make_state: Callable[[], State]) -> None:
        """Keep a state, unless writing would take more than a twentieth of the time."""
        if time.monotonic() - self.last >= self.cost / _SHARE:
            self.save(make_state())

    def save(self, state: State) -> None:
        """Keep a state in the place of the last one: the file always holds a whole one.

        Raises
        ------
        OSError
            If it cannot be written, as on a full disk.
        """
        start = time.monotonic()
        buffer = io.BytesIO()
        torch.save(state, buffer)
        write_atomically(self.file, buffer.getvalue())
        self.last = time.monotonic()
        self.cost = self.last - start


def random_states(device: torch.device, order: torch.Generator) -> State:
    """Return the states of all generators that a training draws from."""
    states = {"order": order.get_state(), "cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def set_random_states(states: State, device: torch.device, order: torch.Generator) -> None:
    """Set the generators of a training to what `random_states` has returned."""
    order.set_state(states["order"])
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)


def _plain(value: Any) -> Any:
    """Return records of a history with numbers of NumPy's as Python's, which a file can hold."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value.item() if isinstance(value, np.generic) else value


def _best_scores(callbacks: Iterable[tuple[str, Any]]) -> State:
    """Return what scoring callbacks remember: the best score so far."""
    return {name: _plain(c.best_score_) for name, c in callbacks if hasattr(c, "best_score_")}


def _set_best_scores(callbacks: Iterable[tuple[str, Any]], scores: State) -> None:
    """Let scoring callbacks remember what `_best_scores` has returned."""
    for name, callback in callbacks:
        if name in scores:
            callback.best_score_ = scores[name]


class KeptTraining:
    """How far the training of one network has got, kept in its checkpoint if it has one.

    Parameters
    ----------
    net : CalibratedNet
        Built, with an empty history if there is a checkpoint.
    best : BestEpoch
        Knows what is trained.
    state : TrainingState
    """

    def __init__(self, net: Any, best: BestEpoch, state: TrainingState) -> None:
        self.net = net
        self.best = best
        self.state = state
        self.n_done = 0
        self.is_over = False

    def resume(self) -> None:
        """Go to where an earlier process was."""
        kept = None if self.state.checkpoint is None else self.state.checkpoint.load()
        if kept is None:
            return
        net, best = self.net, self.best
        for name, part in best.parts.items():
            part.load_state_dict(kept["parts"][name])
        net.history.extend(kept["history"])
        self.n_done, self.is_over = kept["n_done"], kept["is_over"]
        self.state.best_epoch = kept["best_epoch"]
        if self.is_over:
            return
        net.optimizer_.load_state_dict(kept["optimizer"])
        best.loss, best.age, best.state = kept["best"]
        best.n_epochs = self.n_done
        _set_best_scores(net.callbacks_, kept["best_scores"])
        set_random_states(kept["random_states"], self.state.device, self.state.order)

    def end_epoch(self) -> None:
        """Keep where the training is, if it is time."""
        self.n_done += 1
        if self.state.checkpoint is not None:
            self.state.checkpoint.save_if_due(self._now)

    def finish(self) -> None:
        """Keep what the training came to."""
        if self.state.checkpoint is not None:
            self.state.checkpoint.save({**self._result(), "is_over": True})

    def _result(self) -> dict[str, Any]:
        return {
            "parts": {name: part.state_dict() for name, part in self.best.parts.items()},
            "history": _plain(list(self.net.history)),
            "n_done": self.n_done,
            "best_epoch": self.state.best_epoch,
        }

    def _now(self) -> dict[str, Any]:
        best = self.best
        return {
            **self._result(),
            "is_over": False,
            "optimizer": self.net.optimizer_.state_dict(),
            "best": (best.loss, best.age, best.state),
            "best_scores": _best_scores(self.net.callbacks_),
            "random_states": random_states(self.state.device, self.state.order),
        }

"""Random numbers of torch: each fit has a stream of its own, whatever runs in other threads.

Initial weights and dropout draw from torch's global generators, which all threads share and which
no argument can replace. So the fits of a process take turns: one at a time holds the generators.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from sklearn.utils import check_random_state
from torch import Tensor

# The states of generators by device: None is the CPU, an integer a GPU.
States = dict[int | None, Tensor]


class _Turn(threading.local):
    """How many blocks of `seeded` the thread is in; the outermost one took the lock."""

    depth = 0


_lock = threading.Lock()
_turn = _Turn()
# Of all threads, and only touched by the one whose turn it is.
_n_open = 0
_outside: States = {}


@contextmanager
def seeded(seed: int, device: Any) -> Iterator[None]:
    """Seed torch inside the block, and leave its global generators as they were.

    Blocks may be nested. Other threads wait before a block of theirs until this one has ended, or
    is in `others_may_fit`.

    Parameters
    ----------
    seed : int
        Of the generators of the CPU and of the device.
    device : str, torch.device or None
        A GPU becomes the current one inside the block. ``torch.manual_seed`` would seed the other
        ones, too.

    Yields
    ------
    None
        The block runs inside.
    """
    cuda = device is not None and torch.device(device).type == "cuda"
    index = torch.device(device).index if cuda else None
    index = torch.cuda.current_device() if cuda and index is None else index
    with _my_turn(), _restored(index), torch.cuda.device(index) if cuda else nullcontext():
        torch.default_generator.manual_seed(seed)
        if cuda:
            torch.cuda.manual_seed(seed)
        yield


@contextmanager
def others_may_fit() -> Iterator[None]:
    """Let other threads have their turn while code that is not ours runs.

    A teacher of another library may fit networks of this package in threads: it would wait for
    ever.
    """
    depth = _turn.depth
    if not depth:
        yield
        return
    states = _states(_outside)
    _turn.depth = 0
    _lock.release()
    try:
        yield
    finally:
        _lock.acquire()
        _turn.depth = depth
        _set_states(states)


@contextmanager
def _my_turn() -> Iterator[None]:
    if not _turn.depth:
        _lock.acquire()
    _turn.depth += 1
    try:
        yield
    finally:
        _turn.depth -= 1
        if not _turn.depth:
            _lock.release()


@contextmanager
def _restored(index: int | None) -> Iterator[None]:
    """Set the generators of the CPU and of a GPU back to what they were before the block.

    Of threads that have turns inside each other's `others_may_fit`, the last one to end finds the
    first one's stream in place of the user's. So the user's is on record until all have ended.
    """
    global _n_open, _outside
    before = _states({None, index})
    _outside = {**before, **_outside}
    _n_open += 1
    try:
        yield
    finally:
        _n_open -= 1
        _set_states(before if _n_open else _outside)
        if not _n_open:
            _outside = {}


def _states(devices: Any) -> States:
    return {
        device: torch.get_rng_state() if device is None else torch.cuda.get_rng_state(device)
        for device in devices
    }


def _set_states(states: States) -> None:
    for device, state in states.items():
        if device is None:
            torch.set_rng_state(state)
        else:
            torch.cuda.set_rng_state(state, device)


def _start_anew_in_child() -> None:
    """Free the lock in a forked process, where the thread that held it does not exist."""
    global _lock
    _lock = threading.Lock()
    if _turn.depth:
        _lock.acquire()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew_in_child)


def draw_seed(random_state: Any) -> int:
    """Return a seed for torch out of scikit-learn's random_state."""
    return int(check_random_state(random_state).randint(2**31 - 1))

"""Parameters as JSON: plain values, and the names of a few classes that are known here."""

import math
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from sk_ils import smoothing
from sk_ils.batches import BatchLoader
from sk_ils.modules import MLP

# A file names classes; only these are found, and nothing is imported.
_CLASSES: dict[str, type] = {
    **{
        f"torch.optim.{name}": kind
        for name, kind in vars(torch.optim).items()
        if isinstance(kind, type) and issubclass(kind, torch.optim.Optimizer)
    },
    "torch.utils.data.DataLoader": DataLoader,
    "sk_ils.batches.BatchLoader": BatchLoader,
    "sk_ils.modules.MLP": MLP,
}
_NAMES = {kind: name for name, kind in _CLASSES.items()}
_RULES: dict[str, type] = {
    kind.__name__: kind
    for kind in (getattr(smoothing, name) for name in smoothing.__all__)
    if isinstance(kind, type) and issubclass(kind, smoothing.SmoothingRule)
}


class NotPlainError(TypeError):
    """A value that JSON cannot hold."""


def as_json(value: Any) -> Any:
    """Return a value as JSON holds it.

    Parameters
    ----------
    value : object
        None, a bool, number or string, a list, tuple or dict of such, a device, one of torch's
        optimizers or a loader, or a rule of this package.

    Returns
    -------
    object

    Raises
    ------
    NotPlainError
        For anything else.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or type(value) in (bool, int, str):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {"float": str(float(value))}
    if isinstance(value, torch.device):
        return str(value)
    if isinstance(value, type) and value in _NAMES:
        return {"class": _NAMES[value]}
    if type(value) in _RULES.values():
        return {"rule": type(value).__name__, "params": as_json(value.get_params(deep=False))}
    return _container_as_json(value)


def _container_as_json(value: Any) -> Any:
    if type(value) is list:
        return [as_json(item) for item in value]
    if type(value) is tuple:
        return {"tuple": [as_json(item) for item in value]}
    if type(value) is dict and all(type(key) is str for key in value):
        return {"dict": {key: as_json(item) for key, item in value.items()}}
    raise NotPlainError(full_name(value))


def from_json(value: Any) -> Any:
    """Return the value that `as_json` was given.

    Parameters
    ----------
    value : object

    Returns
    -------
    object

    Raises
    ------
    ValueError, TypeError or KeyError
        If `as_json` gives no such thing.
    """
    if isinstance(value, list):
        return [from_json(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"rule", "params"}:
        return _RULES[value["rule"]](**from_json(value["params"]))
    ((kind, content),) = value.items()
    if kind == "dict":
        return {str(key): from_json(item) for key, item in content.items()}
    if kind == "tuple":
        return tuple(from_json(item) for item in content)
    if kind == "class":
        return _CLASSES[content]
    if kind == "float":
        return float(content)
    raise ValueError(f"it holds a value of the kind {kind!r}")


def full_name(value: Any) -> str:
    """Return what a value is that cannot be written: its class's name, or its own.

    Parameters
    ----------
    value : object

    Returns
    -------
    str
    """
    named = value if hasattr(value, "__qualname__") else type(value)
    return f"{named.__module__}.{named.__qualname__}".removeprefix("builtins.")

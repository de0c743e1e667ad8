"""The key of a cached teacher: all that it depends on, the same in every process."""

from typing import Any

import joblib
import numpy as np
import torch
from skorch.callbacks import Callback
from torch import Tensor, nn
from torch.utils.data import Dataset

from sk_ils._net.fit_data import FitData
from sk_ils._net.inputs import is_dataset


def cache_key(teacher: Any, data: FitData, cv: int | None, *, sees_raw_inputs: bool) -> str:
    """Return a hash of a teacher and of all that its fit depends on.

    Parameters
    ----------
    teacher : classifier
        Unfitted.
    data : FitData
    cv : int or None
        Number of folds of out-of-fold logits.
    sees_raw_inputs : bool
        Whether the teacher is fitted on X as the user passed it, such as a DataFrame.

    Returns
    -------
    str
    """
    parts = [teacher, *data.schema, data.seed, cv]
    for part in (data.train, data.valid):
        if part is not None:
            parts += [part.samples, part.index, part.groups]
            if sees_raw_inputs and not is_dataset(part.source):
                parts += [np.asarray(part.source), getattr(part.source, "columns", None)]
    key: str = joblib.hash(content(parts))
    return key


def content(value: Any) -> Any:
    """Return a value's content as NumPy and plain Python.

    joblib's own hash of tensors, modules and object arrays differs between processes.
    """
    if isinstance(value, Tensor):
        return str(value.dtype), value.detach().cpu().numpy()
    if isinstance(value, torch.dtype | torch.device):
        return str(value)
    if isinstance(value, type) or value is None:
        return value
    if hasattr(value, "__array__"):
        array = np.asarray(value)
        return array.astype(str) if array.dtype == object else array
    if isinstance(value, dict):
        return [(str(name), content(value[name])) for name in sorted(value, key=str)]
    if isinstance(value, list | tuple):
        return [content(part) for part in value]
    if hasattr(value, "get_params"):
        return type(value), content(value.get_params(deep=False))
    if isinstance(value, nn.Module | Dataset | Callback):
        return type(value), content(vars(value))
    return value

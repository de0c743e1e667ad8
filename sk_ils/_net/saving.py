"""The file of a network's parameters, with what else a prediction needs as JSON."""

import io
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sk_ils._files import write_atomically
from sk_ils._net.fit_data import InputSchema
from sk_ils._net.tensor_file import pack, unpack

_LABEL_TYPES = (bool, int, float, str)
_LABEL_KINDS = "biufUO"
# Bytes of a label: a file's type could ask for any memory.
_LONGEST = 1 << 20


@dataclass(frozen=True)
class SavedNetwork:
    """What is in a file of parameters.

    Parameters
    ----------
    state : dict of str to Tensor
        The module's state.
    schema : InputSchema or None
        None before classes are known, and in files of torch or skorch.
    temperature : float or None
        None in files of torch or skorch.
    flops : float or None
        Of a forward pass, for one sample: threads are chosen by it, and the order of sums by them.
    """

    state: dict[str, Tensor]
    schema: InputSchema | None = None
    temperature: float | None = None
    flops: float | None = None


def write_network(file: Any, network: SavedNetwork) -> None:
    """Write a network to a path, as a whole or not at all, or to a binary file.

    Parameters
    ----------
    file : str, path or binary file
    network : SavedNetwork

    Raises
    ------
    TypeError
        For labels that JSON cannot hold, and for a module's state that is no tensor.
    """
    data = pack(network.state, network_as_json(network))
    if isinstance(file, str | os.PathLike):
        write_atomically(file, data)
    else:
        file.write(data)


def read_network(file: Any, torch_load_kwargs: dict[str, Any] | None) -> SavedNetwork:
    """Read a network from a path or from a binary file.

    Parameters
    ----------
    file : str, path or binary file
        As `write_network` or skorch writes it, or ``torch.save`` of a state dict.
    torch_load_kwargs : dict or None
        For a file of ``torch.save``; None loads weights only.

    Returns
    -------
    SavedNetwork

    Raises
    ------
    ValueError
        If the file is none of these.
    """
    is_path = isinstance(file, str | os.PathLike)
    data, name = (Path(file).read_bytes(), str(file)) if is_path else (file.read(), "The file")
    if not isinstance(data, bytes):
        raise ValueError(f"{name} is a text file: open it in binary mode.")
    if data[8:9] != b"{" and data[:1] in (b"P", b"\x80"):  # a zip archive or a pickle: torch's formats
        return SavedNetwork(_state_of_torch(data, name, torch_load_kwargs))
    state, about = unpack(data, name)
    if about is None:
        return SavedNetwork(state)
    with explained_content(name):
        return network_from_json(about, state)


def network_as_json(network: SavedNetwork) -> dict[str, Any]:
    """Return what a prediction needs beside the state.

    Parameters
    ----------
    network : SavedNetwork

    Returns
    -------
    dict
    """
    return {
        "temperature": network.temperature,
        "flops": network.flops,
        "schema": None if network.schema is None else _schema_as_json(network.schema),
    }


def network_from_json(about: dict[str, Any], state: dict[str, Tensor]) -> SavedNetwork:
    """Return the network of a file; inside of `explained_content`.

    Parameters
    ----------
    about : dict
        As `network_as_json` gives it.
    state : dict of str to Tensor

    Returns
    -------
    SavedNetwork
    """
    temperature, flops, schema = about["temperature"], about["flops"], about["schema"]
    expect(temperature is None or _is_positive(temperature), f"temperature {temperature!r}")
    expect(flops is None or _is_positive(flops), f"flops {flops!r}")
    return SavedNetwork(state, None if schema is None else _schema_from_json(schema), temperature, flops)


@contextmanager
def explained_content(name: str) -> Iterator[None]:
    """Raise ValueError with a file's name for content that is not what this package writes.

    Parameters
    ----------
    name : str

    Yields
    ------
    None
        The block, which runs none but this package's code, runs inside.
    """
    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        text = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"{name} was not written by sk_ils: {text}.") from error


def expect(condition: bool, found: str) -> None:
    """Raise ValueError unless a file's content is as it must be.

    Parameters
    ----------
    condition : bool
    found : str
        Names what is not.
    """
    if not condition:
        raise ValueError(f"it holds {found[:200]}")


def _is_positive(value: Any) -> bool:
    return isinstance(value, float | int) and not isinstance(value, bool) and 0 < value < math.inf


def _state_of_torch(data: bytes, name: str, torch_load_kwargs: dict[str, Any] | None) -> dict[str, Tensor]:
    kwargs = {"weights_only": True} if torch_load_kwargs is None else torch_load_kwargs
    try:
        state = torch.load(io.BytesIO(data), map_location="cpu", **kwargs)
    except Exception as error:  # whatever an unpickler makes of bytes that are none of its own
        raise ValueError(
            f"{name} is no file of weights, as torch.save(module.state_dict()) writes it. If it holds other "
            'objects, and you trust it, torch_load_kwargs={"weights_only": False} reads it.'
        ) from error
    if not isinstance(state, dict):
        raise ValueError(f"{name} holds a {type(state).__name__}, but expected is a module's state_dict().")
    return state


def _schema_as_json(schema: InputSchema) -> dict[str, Any]:
    names = schema.feature_names_in
    return {
        "classes": _labels_as_json(schema.classes),
        "n_features_in": schema.n_features_in,
        "feature_names_in": None if names is None else names.tolist(),
        "sample_shape": schema.sample_shape,
    }


def _schema_from_json(schema: dict[str, Any]) -> InputSchema:
    n_features, names, shape = schema["n_features_in"], schema["feature_names_in"], schema["sample_shape"]
    expect(n_features is None or _is_size(n_features), f"n_features_in {n_features!r}")
    expect(shape is None or (isinstance(shape, list) and all(map(_is_size, shape))), f"a shape {shape!r}")
    expect(not shape or n_features in (None, shape[0]), f"{n_features} features of the shape {shape!r}")
    expect(
        names is None
        or (isinstance(names, list) and len(names) == n_features and {*map(type, names)} == {str}),
        f"feature names {names!r}",
    )
    return InputSchema(
        _labels_from_json(schema["classes"]),
        n_features,
        None if names is None else np.array(names, dtype=object),
        None if shape is None else tuple(shape),
    )


def _is_size(value: Any) -> bool:
    return type(value) is int and value >= 0


def _labels_as_json(labels: NDArray[Any]) -> dict[str, Any]:
    values = [value.item() if isinstance(value, np.generic) else value for value in labels.tolist()]
    odd = [value for value in values if type(value) not in _LABEL_TYPES]
    if odd or labels.dtype.kind not in f"{_LABEL_KINDS}T":
        raise TypeError(
            f"A file of parameters holds labels that are strings, numbers or booleans, but classes_ has "
            f"{(odd or values)[0]!r} of type {labels.dtype}. Save the whole estimator with joblib or pickle."
        )
    dtype = {"O": "object", "T": "string"}.get(labels.dtype.kind, labels.dtype.str)
    return {"dtype": dtype, "values": values}


def _labels_from_json(labels: dict[str, Any]) -> NDArray[Any]:
    values = labels["values"]
    right = isinstance(values, list) and values and all(type(value) in _LABEL_TYPES for value in values)
    expect(bool(right), f"labels {values!r}")
    dtype: Any = np.dtypes.StringDType() if labels["dtype"] == "string" else np.dtype(labels["dtype"])
    expect(dtype.kind in f"{_LABEL_KINDS}T" and dtype.itemsize < _LONGEST, f"labels of type {dtype}")
    array = np.array(values, dtype=dtype)
    # NaN is no label, and a string that is cut off another one.
    expect(array.tolist() == values and len({*values}) == len(values), f"labels {values!r}")
    return array

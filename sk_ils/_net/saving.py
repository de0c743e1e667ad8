"""The file of a network's parameters: safetensors, and as JSON what else a prediction needs."""

import io
import json
import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import Tensor

from sk_ils._net.fit_data import InputSchema

# Raised when an older reader would misunderstand a file.
_VERSION = 1
_KEY = "sk_ils"
_LABEL_TYPES = (bool, int, float, str)


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
    """

    state: dict[str, Tensor]
    schema: InputSchema | None = None
    temperature: float | None = None


def write_network(file: Any, network: SavedNetwork) -> None:
    """Write a network to a path or to a binary file.

    Parameters
    ----------
    file : str, path or binary file
    network : SavedNetwork

    Raises
    ------
    TypeError
        For labels that JSON cannot hold, and for a module's state that is no tensor.
    """
    about = {
        "version": _VERSION,
        "temperature": network.temperature,
        "schema": None if network.schema is None else _schema_as_json(network.schema),
    }
    tensors = {name: _as_plain_tensor(name, value) for name, value in network.state.items()}
    data = safetensors.torch.save(tensors, {"format": "pt", _KEY: json.dumps(about)})
    if isinstance(file, str | os.PathLike):
        Path(file).write_bytes(data)
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
    try:
        state = safetensors.torch.load(data)
    except (SafetensorError, ValueError) as error:
        raise ValueError(
            f"{name} is no file of parameters, as save_params writes it ({error}); a file object must stand "
            "at its beginning."
        ) from error
    metadata = _metadata(data)
    if _KEY not in metadata:
        return SavedNetwork(state)
    about = json.loads(metadata[_KEY])
    if about["version"] > _VERSION:
        raise ValueError(f"{name} was written by a newer version of sk_ils: update sk_ils.")
    schema = None if about["schema"] is None else _schema_from_json(about["schema"])
    return SavedNetwork(state, schema, about["temperature"])


def _state_of_torch(data: bytes, name: str, torch_load_kwargs: dict[str, Any] | None) -> dict[str, Tensor]:
    kwargs = {"weights_only": True} if torch_load_kwargs is None else torch_load_kwargs
    try:
        state = torch.load(io.BytesIO(data), map_location="cpu", **kwargs)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ValueError(
            f"{name} is no file of weights, as torch.save(module.state_dict()) writes it. If it holds other "
            'objects, and you trust it, torch_load_kwargs={"weights_only": False} reads it.'
        ) from error
    if not isinstance(state, dict):
        raise ValueError(f"{name} holds a {type(state).__name__}, but expected is a module's state_dict().")
    return state


def _metadata(data: bytes) -> dict[str, str]:
    """Return the strings in the header of safetensors: 8 bytes of length, then JSON."""
    length = int.from_bytes(data[:8], "little")
    metadata: dict[str, str] = json.loads(data[8 : 8 + length]).get("__metadata__", {})
    return metadata


def _as_plain_tensor(name: str, value: Any) -> Tensor:
    if not isinstance(value, Tensor):
        raise TypeError(
            f"The module's state {name!r} is a {type(value).__name__}; a file of parameters holds tensors "
            "only. Save the whole estimator with joblib or pickle."
        )
    # A copy each, because safetensors refuses weights that share their memory.
    return value.detach().to("cpu", copy=True).contiguous()


def _schema_as_json(schema: InputSchema) -> dict[str, Any]:
    names = schema.feature_names_in
    return {
        "classes": _labels_as_json(schema.classes),
        "n_features_in": schema.n_features_in,
        "feature_names_in": None if names is None else names.tolist(),
        "sample_shape": schema.sample_shape,
    }


def _schema_from_json(schema: dict[str, Any]) -> InputSchema:
    names, shape = schema["feature_names_in"], schema["sample_shape"]
    return InputSchema(
        _labels_from_json(schema["classes"]),
        schema["n_features_in"],
        None if names is None else np.array(names, dtype=object),
        None if shape is None else tuple(shape),
    )


def _labels_as_json(labels: NDArray[Any]) -> dict[str, Any]:
    values = [value.item() if isinstance(value, np.generic) else value for value in labels.tolist()]
    odd = [value for value in values if type(value) not in _LABEL_TYPES]
    if odd or labels.dtype.kind not in "biufUOT":
        raise TypeError(
            f"A file of parameters holds labels that are strings, numbers or booleans, but classes_ has "
            f"{(odd or values)[0]!r} of type {labels.dtype}. Save the whole estimator with joblib or pickle."
        )
    dtype = {"O": "object", "T": "string"}.get(labels.dtype.kind, labels.dtype.str)
    return {"dtype": dtype, "values": values}


def _labels_from_json(labels: dict[str, Any]) -> NDArray[Any]:
    dtype: Any = np.dtypes.StringDType() if labels["dtype"] == "string" else labels["dtype"]
    return np.array(labels["values"], dtype=dtype)

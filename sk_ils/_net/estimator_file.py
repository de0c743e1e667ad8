"""The file of a whole fitted estimator: its network, and those parameters that are plain."""

import inspect
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sk_ils._files import write_atomically
from sk_ils._net.plain_values import NotPlainError, as_json, from_json, full_name
from sk_ils._net.saving import (
    SavedNetwork,
    expect,
    explained_content,
    network_as_json,
    network_from_json,
)
from sk_ils._net.sklearn_net import check_device, named_parameters
from sk_ils._net.tensor_file import pack, unpack
from sk_ils.modules import MLP

# Parameters by which a stranger's file could let a later call read pickles.
_NEVER_SAVED = ("checkpoint", "memory", "torch_load_kwargs")
# Where no subclass builds another network.
_OUR_BUILDERS = ("sk_ils._net.predicting_net", "skorch.hf")
# What trim_for_prediction takes away, with the parameters of its parts.
_TRIMMED = ("optimizer", "iterator_train")
_A_NAME = re.compile(r"[A-Za-z]\w{0,99}", re.ASCII)

Document = dict[str, Any]


@dataclass(frozen=True)
class SavedEstimator:
    """An estimator as a file holds it.

    Parameters
    ----------
    class_name : str
    params : dict
        By name, those that are plain.
    left_out : dict of str to str
        The others, with what they were.
    is_trimmed : bool
        For prediction.
    """

    class_name: str
    params: dict[str, Any]
    left_out: dict[str, str]
    is_trimmed: bool


def estimator_as_json(estimator: Any) -> Document:
    """Return the parameters of an estimator as JSON.

    Parameters
    ----------
    estimator : estimator
        Of any class.

    Returns
    -------
    dict
    """
    is_trimmed = bool(getattr(estimator, "_trimmed_for_prediction", False))
    plain, left_out = {}, {}
    for name, value in estimator.get_params(deep=False).items():
        if is_trimmed and name.partition("__")[0] in _TRIMMED:
            continue
        try:
            if name in _NEVER_SAVED and value is not None:
                raise NotPlainError(full_name(value))
            plain[name] = as_json(value)
        except NotPlainError as error:
            if not _is_default(type(estimator), name, value):
                left_out[name] = str(error)
    return {"class": type(estimator).__name__, "params": plain, "left_out": left_out, "trimmed": is_trimmed}


def _is_default(cls: type, name: str, value: Any) -> bool:
    """Return whether a class itself gives a parameter this value, as a subclass may its module."""
    for base in cls.__mro__:
        own = inspect.signature(vars(base)["__init__"]).parameters if "__init__" in vars(base) else {}
        if name in own:
            return own[name].default is value
    return False


def estimator_from_json(about: Document, cls: type) -> SavedEstimator:
    """Return what a file holds of an estimator; inside of `explained_content`.

    Parameters
    ----------
    about : dict
        As `estimator_as_json` gives it.
    cls : type
        Whose `load` was called.

    Returns
    -------
    SavedEstimator
    """
    class_name, left_out, is_trimmed = about["class"], about["left_out"], about["trimmed"]
    for name in (class_name, *left_out):
        expect(bool(_A_NAME.fullmatch(name)), f"the name {name!r}")
    expect(all(type(text) is str for text in left_out.values()), "no names of what was left out")
    expect(type(is_trimmed) is bool, f"trimmed {is_trimmed!r}")
    known = named_parameters(cls)
    for name in about["params"] if class_name == cls.__name__ else ():
        expect(name not in _NEVER_SAVED or about["params"][name] is None, f"the parameter {name!r}")
        is_of_part = bool(_A_NAME.fullmatch(name)) and "__" in name
        expect(name in known or is_of_part, f"the parameter {name!r}, which {class_name} does not have")
    params = {name: from_json(value) for name, value in about["params"].items()}
    return SavedEstimator(class_name, params, left_out, is_trimmed)


def network_of(net: Any) -> SavedNetwork:
    """Return the fitted network of an estimator.

    Parameters
    ----------
    net : TeacherClassifier or InstanceSmoothedClassifier

    Returns
    -------
    SavedNetwork

    Raises
    ------
    TypeError
        If it has more than one network.
    """
    net._check_can_predict()
    if list(net._modules) != ["module"]:
        raise TypeError(
            f"save holds one network, but this {type(net).__name__} has {', '.join(net._modules)}: use "
            "save_params with a file for each, or pickle."
        )
    network: SavedNetwork = net._saved_network()
    return network


def save_estimator(net: Any, path: Any) -> None:
    """Write a fitted estimator to a file.

    Parameters
    ----------
    net : TeacherClassifier or InstanceSmoothedClassifier
    path : str or path
    """
    network, about = network_of(net), estimator_as_json(net)
    write_document(path, network.state, {**network_as_json(network), "estimator": about})
    warn_of_left_out(about["left_out"], "save does not write")


def load_estimator(cls: type, path: Any, given: dict[str, Any]) -> Any:
    """Return the fitted estimator of a file.

    Parameters
    ----------
    cls : type
        A class of networks.
    path : str or path
    given : dict
        Parameters in the place of those of the file.

    Returns
    -------
    object
        Of the class.
    """
    name = os.fspath(path)
    tensors, about = read_document(path, "estimator", cls)
    with explained_content(name):
        saved = estimator_from_json(about["estimator"], cls)
        network = network_from_json(about, tensors)
    net = fitted(cls, saved, network, given, name)
    warn_of_left_out(saved.left_out, f"{name} does not hold", given)
    return net


def write_document(path: Any, tensors: dict[str, Tensor], document: Document) -> None:
    """Write tensors and JSON to a file, as a whole or not at all.

    Parameters
    ----------
    path : str or path
    tensors : dict of str to Tensor
    document : dict
    """
    os.fspath(path)  # raises before the work for what is no path
    write_atomically(path, pack(tensors, document))


def read_document(path: Any, kind: str, cls: type) -> tuple[dict[str, Tensor], Document]:
    """Return what is in a file of `save`.

    Parameters
    ----------
    path : str or path
    kind : {"estimator", "ensemble"}
    cls : type
        Whose `load` was called.

    Returns
    -------
    tensors : dict of str to Tensor
    document : dict

    Raises
    ------
    ValueError
        If the file is another one, or damaged.
    """
    name = os.fspath(path)
    tensors, document = unpack(Path(path).read_bytes(), name)
    if document is not None and kind in document:
        return tensors, document
    if document is None:
        found = "safetensors of another program"
    elif "ensemble" in document:
        found = "a CrossFittedClassifier: call CrossFittedClassifier.load"
    elif "estimator" in document:
        found = "a single estimator: call load of its class"
    else:
        found = "the parameters of a network: build its estimator, and call load_params"
    raise ValueError(f"{name} holds no {cls.__name__} that save has written, but {found}.")


def fitted(cls: type, saved: SavedEstimator, network: SavedNetwork, given: dict[str, Any], name: str) -> Any:
    """Return an estimator with its network.

    Parameters
    ----------
    cls : type
        Of the estimator.
    saved : SavedEstimator
    network : SavedNetwork
    given : dict
        Parameters in the place of those of the file.
    name : str
        Of the file, for errors.

    Returns
    -------
    object
        Of the class.
    """
    net = unfitted(cls, saved, given, name)
    if network.schema is None or network.temperature is None:
        raise ValueError(f"{name} was not written by sk_ils: its network was not fitted.")
    with _explained_parameters(name), net.fit_session(0):
        net._adopt(network.schema)
        if net.module in (None, MLP) and net.initialize_module.__module__ in _OUR_BUILDERS:
            _check_size(net, network.state, name)
        net._load_network(network, name)
    if saved.is_trimmed:
        net.trim_for_prediction()
    return net


def unfitted(cls: type, saved: SavedEstimator, given: dict[str, Any], name: str) -> Any:
    """Return an estimator with the parameters of a file; see `fitted`."""
    if saved.class_name != cls.__name__:
        raise ValueError(
            f"{name} holds a {saved.class_name}, not a {cls.__name__}: call {saved.class_name}.load."
        )
    left_out = saved.left_out.keys() - given.keys()
    needed = sorted(part for part in left_out if part.partition("__")[0] == "module")
    if needed:
        raise ValueError(
            f"{name} does not hold {_named(saved.left_out, needed)}, without which there is no network: call "
            f"load({', '.join(['path', *(f'{part}=...' for part in needed)])})."
        )
    # The parameters of a part that is not there would be set on the default one.
    own = {key: value for key, value in saved.params.items() if key.partition("__")[0] not in left_out}
    params = {**own, **given}
    if "device" in params and "device" not in given:
        params["device"] = _usable(params["device"], name)
    with _explained_parameters(name):
        net = cls(**params)
        net.check_parameters()
    return net


@contextmanager
def _explained_parameters(name: str) -> Iterator[None]:
    """Raise ValueError with a file's name for whatever goes wrong with its parameters."""
    try:
        yield
    except Exception as error:
        if type(error) is ValueError and name in str(error):
            raise
        raise ValueError(f"With the parameters of {name}: {error}") from error


def warn_of_left_out(left_out: dict[str, str], what: str, given: Any = ()) -> None:
    """Say which parameters a loaded estimator will not have, or has not.

    Parameters
    ----------
    left_out : dict of str to str
        By name, what they were.
    what : str
        The beginning of the warning.
    given : collection of str, default=()
        Names of those that are there all the same.
    """
    missing = [name for name in left_out if name not in given]
    if missing:
        passed = ", ".join(f"{name}=..." for name in missing)
        warnings.warn(
            f"{what} {_named(left_out, missing)}: what is not plain, or could let a file run code. A loaded "
            f"estimator has the defaults, or what is passed as load(path, {passed}).",
            stacklevel=4,
        )


def _named(left_out: dict[str, str], names: list[str]) -> str:
    return ", ".join(f"{name} ({ascii(left_out[name])[1:-1][:100]})" for name in names)


def _usable(device: Any, name: str) -> Any:
    """Return a file's device, or "cpu" in the place of one that is not there."""
    try:
        check_device(device)
    except (TypeError, ValueError):
        warnings.warn(f"The device={device!r} of {name} is not there: it is 'cpu' now.", stacklevel=6)
        return "cpu"
    return device


def _check_size(net: Any, state: dict[str, Tensor], name: str) -> None:
    """Raise unless the default network has the shapes of a state, which its parameters only claim.

    A file could ask for a network that no memory holds.
    """
    with torch.device("meta"):
        built = MLP(**{**net._sizes(MLP), **net.get_params_for("module")})
    shapes = {key: value.shape for key, value in built.state_dict().items()}
    if shapes != {key: value.shape for key, value in state.items()}:
        raise ValueError(
            f"{name} holds another network than its parameters say. If you passed module__... parameters, "
            "leave them out."
        )

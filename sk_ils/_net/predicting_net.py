"""The network: how it is built, what it is fed, and what it predicts."""

from __future__ import annotations  # help() shows types by their names

import copy
import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache, partial
from numbers import Integral
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from skorch.utils import to_tensor
from torch import Tensor, nn
from torch.utils.data import DataLoader

from sk_ils._labels import distinct
from sk_ils._net.advice import advise
from sk_ils._net.distributed import all_rows, leave_untrained_alone, share_of, unwrapped
from sk_ils._net.export import ProbabilityModule
from sk_ils._net.inputs import check_dataset, check_features, check_length, is_dataset, labels_of
from sk_ils._net.module_errors import explain_module_error, explained_building
from sk_ils._net.precision import in_precision
from sk_ils._net.stateful_net import StatefulNet, plain_module
from sk_ils._net.threads import counted_work, threads_for, weight_flops
from sk_ils._net.training import DTYPES, check_finite, check_logits, check_rows
from sk_ils._probabilities import as_numpy
from sk_ils._samples import SampleSet, Share
from sk_ils.batches import BatchLoader, DatasetLoader, check_keeps_rows
from sk_ils.modules import MLP
from sk_ils.temperature._scaling import log_softmax_in_place, softmax_in_place

# Samples of a table that are predicted together at least; see _infer_padded.
_MIN_BLOCK = 32
# Rows that a module is adapted to: at most, and below which that is no good.
_N_ADAPTED, _FEW_ROWS = 10_000, 10
# Outputs that stay on a GPU before they go to the main memory at once.
_KEPT_BYTES = 2**26
_NO_ROWS = "X holds no rows: there is nothing to predict."
# Whose `infer` adds nothing to the module.
_KNOWN_INFER = (__name__, "skorch.hf")
# Parameters that a user may set; the others are the network's.
_SLICING = set(inspect.signature(BatchLoader).parameters) - {"device", "share"}


class PredictingNet(StatefulNet):
    """Base of :class:`CalibratedNet`: the network, and what it says of samples."""

    # --- building ---------------------------------------------------------------------------------

    def initialize_module(self) -> Self:
        """Build the module, with the sizes of the data where its __init__ names them.

        Returns
        -------
        self
            The estimator.
        """
        kwargs = self.get_params_for("module")
        module = self.module if self.module is not None else MLP
        if isinstance(module, nn.Module):
            # A module instance is a parameter: training must not change it, teacher and student not
            # share it.
            if kwargs and any(True for _ in module.parameters()):
                advise(
                    "weights left behind",
                    f"module is an instance, and module__{next(iter(kwargs))} is set: as in skorch a new "
                    f"network of its class, {type(module).__name__}, is built, without the instance's "
                    "weights. Pass the class to say so, or make the instance with what it needs.",
                )
            with explained_building("module", type(module), kwargs):
                built = copy.deepcopy(module) if not kwargs else type(module)(**kwargs)
        else:
            if not self._knows_classes():
                _check_sizes(module, kwargs)
            kwargs = {**self._sizes(module), **kwargs}
            with explained_building("module", module, kwargs):
                built = module(**kwargs)
        if not isinstance(built, nn.Module):
            raise TypeError(f"module must build a torch module; {module!r} gave {type(built).__name__}.")
        self.module_ = built
        return self

    def adapt_module(self, samples: SampleSet) -> None:
        """Let a module that has a method ``adapt(X, sample_weight)`` see training rows, once.

        It is called before the first training step of a network that was built, not loaded, with
        at most 10,000 rows, which are drawn always alike, in one Tensor; not for other inputs.

        Parameters
        ----------
        samples : SampleSet
            The training part.
        """
        adapt = getattr(unwrapped(self.module_), "adapt", None)
        if self._is_adapted or not callable(adapt) or not len(samples):
            return
        if len(samples) < _FEW_ROWS:
            advise(
                "few rows",
                "The network scales its columns by the rows of its first training, which are "
                f"{len(samples)}: pass more to fit, or to the first partial_fit.",
            )
        few = samples.some(_N_ADAPTED)
        batches = [batch for batch, _ in self.get_iterator(few)]
        if all(isinstance(batch, Tensor) for batch in batches):
            X = torch.cat(batches)
            try:
                with torch.no_grad():
                    adapt(X, few.weight)
            except Exception as error:
                explain_module_error(error, self.module_, X)
                raise
        self._is_adapted = True

    def initialize_optimizer(self, triggered_directly: bool | None = None) -> Self:
        """Build the optimizer, as in skorch.

        Parameters
        ----------
        triggered_directly : bool, default=None
            Without meaning; skorch has it.

        Returns
        -------
        self
            The estimator.
        """
        parameters = {"lr": self.lr, **self.get_params_for("optimizer")}
        with explained_building("optimizer", self.optimizer, parameters):
            super().initialize_optimizer(triggered_directly)
        return self

    def _initialize_module(self, reason: str | None = None) -> Self:
        try:
            super()._initialize_module(reason)
        except NotImplementedError as error:
            if not (isinstance(self.module, nn.Module) and any(p.is_meta for p in self.module.parameters())):
                raise
            raise ValueError(
                "The module is on the device 'meta', where weights have no values: pass it after "
                "module.to_empty(device='cpu') and an initialisation, or pass its class."
            ) from error
        # Whoever builds it: a subclass or skorch's AccelerateMixin may do so by itself.
        self._is_adapted, self.temperature_ = False, 1.0
        return self._cast_parts()

    def _initialize_criterion(self, reason: str | None = None) -> Self:
        super()._initialize_criterion(reason)
        return self._cast_parts()

    def _cast_parts(self) -> Self:
        """Give the weights of all parts the type that is asked for."""
        if self._float_type is not None:
            for part in self._torch_parts().values():
                part.to(self._float_type)
        leave_untrained_alone(self, self._torch_parts().values())
        return self

    def _torch_parts(self) -> dict[str, nn.Module]:
        """Return by name what is trained: `module_`, and what a subclass builds besides it."""
        parts = {name: getattr(self, f"{name}_", None) for name in (*self._modules, *self._criteria)}
        return {name: part for name, part in parts.items() if isinstance(part, nn.Module)}

    @property
    def _float_type(self) -> torch.dtype | None:
        """The parameter `dtype` as torch names it."""
        return DTYPES.get(self.dtype or "")

    def _sizes(self, module: Any) -> dict[str, int]:
        """Return the sizes that a module's __init__ asks for by name."""
        if not self._knows_classes():
            return {}
        known = {"n_classes": len(self.classes_), "num_classes": len(self.classes_)}  # torch's name, too
        shape = self._sample_shape
        if shape:
            # The default network flattens its input; scikit-learn's n_features_in_ is the second
            # dimension.
            known["n_features_in"] = math.prod(shape) if module is MLP else shape[0]
            known["in_features"] = known["n_features_in"]
        try:
            wanted = _parameters_of(module)
        except ValueError as error:  # a built-in type, such as dict
            raise TypeError(f"module must be a torch Module, or what builds one; got {module!r}.") from error
        return {name: size for name, size in known.items() if name in wanted}

    # --- batches ----------------------------------------------------------------------------------

    def _check_inputs(self, X: Any, *, reset: bool) -> Any:
        """Return X as a tensor, or a Dataset as it is; learn its features, or compare them."""
        if is_dataset(X):
            check_length(X)
            if reset and (shape := check_dataset(X)):
                self._sample_shape, self.n_features_in_ = shape, shape[0]
            return X
        if not reset:
            self._check_dimensions(getattr(X, "shape", None))
        tensor = check_features(self, X, self.dtype, reset=reset)
        shape = tuple(tensor.shape[1:])
        if reset:
            self._sample_shape = shape
        elif self._sample_shape not in (None, shape):
            raise ValueError(
                f"X has rows of shape {shape}, but {type(self).__name__} was fitted on rows of shape "
                f"{self._sample_shape}."
            )
        return tensor

    def _check_dimensions(self, shape: Any) -> None:
        """Raise if rows that are no table's were fitted, and these have other dimensions."""
        fitted = self._sample_shape
        if fitted is None or len(fitted) < 2 or shape is None or len(shape) == 1 + len(fitted):
            return
        name = type(self).__name__
        raise ValueError(
            f"X has the shape {tuple(shape)}, but {name} was fitted on rows of shape {fitted}, "
            f"so it takes (n_samples, {', '.join(map(str, fitted))})."
            + (" For a single row pass X[None]." if tuple(shape) == fitted else "")
        )

    def get_dataset(self, X: Any, y: Any = None) -> SampleSet:
        """Return X as a SampleSet; for data that have passed the checks only."""
        return X if isinstance(X, SampleSet) else SampleSet(X)

    def get_iterator(self, dataset: Any, training: bool = False, share: Share | None = None) -> Any:
        """Return a loader of ``(X, Targets)``: slices for tensors, a DataLoader for Datasets.

        Of each batch it gives what is a process's `share`, if several train the network.
        """
        samples = self.get_dataset(dataset)
        name = "iterator_train" if training else "iterator_valid"
        own = self.get_params_for(name)
        if not training:
            check_keeps_rows(own)
        kwargs = (
            own if "batch_sampler" in own else {**own, "batch_size": self._batch_size(name, len(samples))}
        )
        # A DataLoader without a generator draws a number from torch's global one, also in
        # prediction.
        state = self._training_state
        kwargs = {"generator": state.order if training and state else torch.Generator(), **kwargs}
        if share is not None:
            kwargs["share"] = share
        if training:
            kwargs = {"shuffle": True, **kwargs}
        loader = getattr(self, name)
        with explained_building(name, loader, own):
            if isinstance(samples.X, Tensor) and self._slices_tensors(name):
                return BatchLoader(samples, device=self._gpu_away_from(samples.X), **kwargs)
            kwargs |= {"dtype": self._float_type, "in_order": not training}
            return DatasetLoader(samples, loader=DataLoader if loader is BatchLoader else loader, **kwargs)

    def _gpu_away_from(self, X: Tensor) -> torch.device | None:
        """Return the GPU on which the module is, if X is not there."""
        state = self._training_state
        device = self._device() if state is None else state.device
        return device if device.type == "cuda" and not X.is_cuda else None

    def _batch_size(self, name: str, n_samples: int) -> int:
        """Return how many samples a loader puts into a batch; -1 is all of them."""
        size = self.get_params_for(name).get("batch_size", self.batch_size)
        if not isinstance(size, Integral) or (size < 1 and size != -1):
            raise ValueError(
                f"batch_size must be an integer of at least 1, or -1 for all samples; got {size!r}."
            )
        return max(n_samples, 1) if size == -1 else int(size)

    def _slices_tensors(self, name: str) -> bool:
        """Return whether a loader slices tensors, and needs no DataLoader for its parameters."""
        return getattr(self, name) is BatchLoader and self.get_params_for(name).keys() <= _SLICING

    @contextmanager
    def step_threads(
        self, n_samples: int, *, training: bool, n_networks: int = 1, module: nn.Module | None = None
    ) -> Iterator[None]:
        """Give torch as many threads as a step is worth, at most those that the user allows.

        Parameters
        ----------
        n_samples : int
            Of which the steps of the block take batches.
        training : bool
            Whether a step has a backward pass, too.
        n_networks : int, default=1
            How many networks a step trains at once.
        module : torch module, default=None
            What is called in the block, if it is not `module_`.

        Yields
        ------
        None
            The block runs inside. The first one that trains counts the module's operations; before
            that each weight counts as used once for a sample.
        """
        name = "iterator_train" if training else "iterator_valid"
        size = min(self._batch_size(name, n_samples), n_samples)
        flops = self._flops or weight_flops(self.module_)
        with threads_for(flops * size * n_networks * (3 if training else 1), self._device()):
            if training and self._flops is None and not self.compile:
                with counted_work(module or self.module_, partial(setattr, self, "_flops")):
                    yield
            else:
                yield

    # --- the module's output ----------------------------------------------------------------------

    def _set_training(self, training: bool = True) -> None:
        # skorch walks the whole module in every batch; the roots' flags tell whether that is
        # needed.
        if any(part.training is not training for part in self._torch_parts().values()):
            self._switch_mode(training)

    def _switch_mode(self, training: bool) -> None:
        """Put every part into one mode, also what a module's __init__ or a callback has frozen.

        As in skorch: what shall stay in evaluation mode overrides the module's ``train``.
        """
        for part in self._torch_parts().values():
            _put_into_mode(part, training)

    def _device(self) -> torch.device:
        """Return where the module is."""
        parameter = next(self.module_.parameters(), None)
        return torch.device("cpu") if parameter is None else parameter.device

    def infer(self, x: Any, **fit_params: Any) -> Any:
        """Return the module's output for a batch, which is moved to the module's device first."""
        state = self._training_state
        device = self._device() if state is None else state.device
        return self._infer_on(device, x, **fit_params)

    def _infer_on(self, device: torch.device, x: Any, **fit_params: Any) -> Any:
        moved = x.to(device, non_blocking=True) if isinstance(x, Tensor) else _as_tensors(x, device)
        module = self.module_ if self.module_.training else unwrapped(self.module_)
        try:
            if isinstance(moved, dict):
                forward = partial(module, **moved, **fit_params)
            else:
                forward = partial(module, moved, **fit_params)
            return in_precision(forward, self.mixed_precision, device)
        except Exception as error:
            explain_module_error(error, self.module_, moved)
            raise

    def forward_iter(self, X: Any, training: bool = False, device: Any = "cpu") -> Iterator[Any]:
        """Yield the module's output batch by batch.

        Parameters
        ----------
        X : array-like, DataFrame, Tensor or Dataset with n_samples items
            As in `fit`.
        training : bool, default=False
            Whether to run in training mode, with dropout and gradients.
        device : device, default="cpu"
            Where outputs go.

        Yields
        ------
        Tensor
        """
        self.check_is_fitted()
        samples = self.get_dataset(self._check_inputs(X, reset=False))
        self._set_training(training)
        infer = self.infer
        if type(self).infer is PredictingNet.infer:
            # Asking the module where it is takes a few percent of a small batch's time: ask once.
            infer = partial(self._infer_on, self._device())
        if not training:
            infer = partial(_infer_padded, infer)
        with torch.set_grad_enabled(training):
            # While a network is trained, a process may predict alone, as for a Checkpoint.
            alone = training or self._training_state is not None
            for batch, targets in self._shared_out(samples, alone=alone):
                output = infer(batch)
                check_rows(output, len(targets.y_encoded))
                if targets.whole is not None:
                    output = all_rows(self, output, len(targets.y_encoded), targets.whole.n_rows)
                yield _moved(output, device)

    def _shared_out(self, samples: SampleSet, *, training: bool = False, alone: bool = False) -> Any:
        """Return a loader of this process's share of each batch, of all of it if it is alone."""
        share = None if alone else share_of(self)
        # A subclass's get_iterator need not know of shares.
        return self.get_iterator(samples, training, **({} if share is None else {"share": share}))

    def forward(self, X: Any, training: bool = False, device: Any = "cpu") -> Any:
        """Return the module's output for all samples.

        Parameters
        ----------
        X : array-like, DataFrame, Tensor or Dataset with n_samples items
            As in `fit`.
        training : bool, default=False
            As of `forward_iter`.
        device : device, default="cpu"
            As of `forward_iter`.

        Returns
        -------
        Tensor of shape (n_samples, ...) or tuple
            Of a module that returns tuples, a tuple; what is no Tensor with rows in it is a list
            with one value for each batch.
        """
        outputs = list(self.forward_iter(X, training=training, device=device))
        if not outputs:
            raise ValueError(_NO_ROWS)
        if isinstance(outputs[0], tuple):
            joined = tuple(_joined(list(parts)) for parts in zip(*outputs, strict=True))
        else:
            joined = (torch.cat(outputs),)
        # Only a Dataset can hold NaN here: arrays have been looked at.
        if not training and is_dataset(X) and isinstance(joined[0], Tensor) and joined[0].isnan().any():
            check_finite(as_numpy(joined[0].flatten(1)), self.get_dataset(X).X)
        return joined if isinstance(outputs[0], tuple) else joined[0]

    def _check_logits(self, output: Any, n_rows: int | None = None) -> Tensor:
        return check_logits(output, len(self.classes_inferred_), n_rows)

    def _batch_logits(self, batch: Any) -> Tensor:
        """Return raw logits of another network's batch, on the module's device."""
        if isinstance(batch, Tensor) and batch.is_floating_point():
            batch = batch.to(self._float_type or batch.dtype)
        self._set_training(False)
        with torch.no_grad():
            return self._check_logits(self.infer(batch))

    # --- prediction -------------------------------------------------------------------------------

    def _logits(self, X: Any, dtype: type | None = None) -> NDArray[np.floating]:
        """Return raw logits (n_samples, n_classes) in an array of their own.

        It is the only one of this size: batches are written into it. `dtype=None` is the module's
        float type.
        """
        samples = self.get_dataset(X)
        n_rows, stop = len(samples), 0
        logits: NDArray[np.floating] | None = None
        with self.step_threads(n_rows, training=False):
            outputs = map(self._check_logits, self.forward_iter(samples, device=None))
            for output in _in_main_memory(outputs):
                batch = as_numpy(output)
                if logits is None:
                    logits = np.empty((n_rows, batch.shape[1]), dtype or batch.dtype)
                start, stop = stop, stop + len(batch)
                if stop <= n_rows:
                    logits[start:stop] = batch
        if logits is None:
            raise ValueError(_NO_ROWS)
        if stop != n_rows:
            raise ValueError(f"forward_iter must give one row for each of {n_rows} samples; it gave {stop}.")
        check_finite(logits, samples.X)
        return logits

    def _checked_logits(self, X: Any, dtype: type | None = None) -> NDArray[np.floating]:
        self._check_can_predict()
        return self._logits(self.get_dataset(self._check_inputs(X, reset=False)), dtype)

    def predict_proba(self, X: Any) -> NDArray[np.floating]:
        r"""Return calibrated class probabilities.

        .. math:: p = \mathrm{softmax}(z / T)

        with the network's logits z and T = `temperature_`.

        Parameters
        ----------
        X : array-like, DataFrame, Tensor or Dataset with n_samples items
            As in `fit`.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Float64, columns in the order of `classes_`; rows sum to 1.
        """
        return softmax_in_place(self._checked_logits(X, np.float64), self.temperature_)

    def to_torch(self) -> nn.Module:
        """Return a torch module that gives the probabilities: network, temperature and softmax.

        For use without this package, by ``torch.export`` or ``torch.onnx.export``.

        Returns
        -------
        torch module
            A copy, on the CPU, in evaluation mode. It takes a Tensor of the network's type (see
            `dtype`), of shape (n_samples, n_features) or (n_samples, ...), and returns one of
            shape (n_samples, n_classes), columns in the order of `classes_`: `predict_proba` but
            for round-off of the network's type.

        Raises
        ------
        TypeError
            If a subclass has more networks than `module_`, or an `infer` of its own.

        Examples
        --------
        >>> import torch
        >>> from sklearn.datasets import load_iris
        >>> from sk_ils import TeacherClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> clf = TeacherClassifier(max_epochs=2, random_state=0).fit(X, y)
        >>> clf.to_torch()(torch.tensor(X, dtype=torch.float32)).shape
        torch.Size([150, 3])
        """
        self._check_can_predict()
        if list(self._modules) != ["module"] or self.infer.__module__ not in _KNOWN_INFER:
            raise TypeError(
                f"to_torch gives the network of module_ alone, but {type(self).__name__} predicts with more: "
                "its own infer, or a second module. Build a torch module of these parts yourself."
            )
        return ProbabilityModule(plain_module(self.module_), self.temperature_)

    def predict_log_proba(self, X: Any) -> NDArray[np.float64]:
        """Return logarithms of the calibrated class probabilities, also where those underflow.

        Parameters
        ----------
        X : array-like, DataFrame, Tensor or Dataset with n_samples items
            As in `fit`.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Float64, in nats, at most 0; columns in the order of `classes_`.
        """
        return log_softmax_in_place(self._checked_logits(X, np.float64), self.temperature_)

    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """Return log-probabilities in nats, or log-odds of the second class if there are two.

        They keep their precision where probabilities saturate at 0 or 1, and scikit-learn's
        calibrators (CalibratedClassifierCV) work on them.

        Parameters
        ----------
        X : array-like, DataFrame, Tensor or Dataset with n_samples items
            As in `fit`.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), or (n_samples,) for two classes
            Float64, columns in the order of `classes_`.
        """
        logits = self._checked_logits(X, np.float64)
        if logits.shape[1] == 2:
            return (logits[:, 1] - logits[:, 0]) / self.temperature_
        return log_softmax_in_place(logits, self.temperature_)

    def score(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> float:
        """Return the accuracy, the share of samples whose most probable class is the true one.

        Parameters
        ----------
        X : array-like, DataFrame, Tensor or Dataset with n_samples items
            As in `fit`.
        y : array-like of shape (n_samples,), default=None
            True labels; None for a Dataset that has them.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights.

        Returns
        -------
        float
            Between 0 and 1 (best).
        """
        labels = labels_of(X, y)
        try:
            return float(super().score(X, labels, sample_weight=sample_weight))
        except TypeError:
            distinct(as_numpy(labels))  # has clearer words for labels that cannot be sorted
            raise

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the most probable class of each sample.

        Parameters
        ----------
        X : array-like, DataFrame, Tensor or Dataset with n_samples items
            As in `fit`.

        Returns
        -------
        ndarray of shape (n_samples,)
            Labels out of `classes_`.
        """
        winners = self._checked_logits(X).argmax(axis=1)
        labels: NDArray[Any] = self.classes_[winners]
        return labels


def _parameters_of(module: Any) -> Mapping[str, inspect.Parameter]:
    """Return the parameters of what builds a module; a class's signature is read once."""
    return _parameters_of_class(module) if isinstance(module, type) else inspect.signature(module).parameters


@lru_cache
def _parameters_of_class(kind: type) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(kind).parameters


def _put_into_mode(module: nn.Module, training: bool) -> None:
    """Do what ``module.train(training)`` does, without the checks of setting an attribute."""
    kind, own = type(module), vars(module)
    is_plain = kind.train is nn.Module.train and kind.__setattr__ is nn.Module.__setattr__
    if not is_plain or "train" in own or "training" not in own:
        module.train(training)
        return
    own["training"] = training
    for child in module._modules.values():
        if child is not None:
            _put_into_mode(child, training)


def _as_tensors(x: Any, device: torch.device) -> Any:
    """Return what a Dataset's batch holds on a device, if a module can take it."""
    try:
        return to_tensor(x, device=device)
    except TypeError as error:
        raise TypeError(
            f"A batch of type {type(x).__name__} cannot become Tensors: {error}. Let the items of the "
            "Dataset, or its collate_fn, be numbers, Tensors, or dicts or tuples of them."
        ) from error


def _check_sizes(module: Any, given: dict[str, Any]) -> None:
    """Raise if a module's __init__ requires what only data could tell."""
    parameters = inspect.signature(module).parameters.values()
    required = [
        p.name for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    missing = [name for name in required if name not in given]
    if missing:
        raise ValueError(
            f"To build {getattr(module, '__name__', module)} before fit, pass "
            f"{', '.join(f'module__{name}=...' for name in missing)}. Or call fit, which knows the sizes of "
            "the data, or load_params with a file of save_params, which holds them."
        )


def _moved(output: Any, device: Any) -> Any:
    """Return an output on a device; what cannot be moved, such as a number, stays as it is."""
    if hasattr(output, "to"):
        return output if device is None else output.to(device)
    if isinstance(output, list | tuple):
        parts = [_moved(part, device) for part in output]
        return parts if isinstance(output, list) else tuple(parts)
    if isinstance(output, dict):
        return {name: _moved(part, device) for name, part in output.items()}
    return output


def _in_main_memory(outputs: Iterable[Tensor]) -> Iterator[Tensor]:
    """Yield the rows of all batches in the main memory, without a wait for each batch."""
    kept: list[Tensor] = []
    n_bytes = 0
    for output in outputs:
        if output.device.type == "cpu":
            yield output
            continue
        kept.append(output)
        n_bytes += output.nbytes
        if n_bytes >= _KEPT_BYTES:
            yield torch.cat(kept).cpu()
            kept, n_bytes = [], 0
    if kept:
        yield torch.cat(kept).cpu()


def _joined(parts: list[Any]) -> Any:
    """Return the rows of all batches as one Tensor, what has no rows as it is."""
    return torch.cat(parts) if all(isinstance(part, Tensor) and part.ndim for part in parts) else parts


def _infer_padded(infer: Callable[[Any], Any], batch: Any) -> Any:
    """Return the output for a batch; few samples of a table are padded to a block.

    Below some ten rows float32 products take other kernels: a sample's logits would differ by
    round-off with the samples that it is predicted together with.
    """
    if not isinstance(batch, Tensor) or batch.ndim != 2 or len(batch) >= _MIN_BLOCK:
        return infer(batch)
    output = infer(torch.cat([batch, batch[:1].expand(_MIN_BLOCK - len(batch), -1)]))
    check_rows(output, _MIN_BLOCK)
    if not isinstance(output, tuple):
        return output[: len(batch)]
    # What has other than a row for each sample, such as the mean of a penalty, stays as it is.
    return tuple(
        part[: len(batch)] if isinstance(part, Tensor) and part.shape[:1] == (_MIN_BLOCK,) else part
        for part in output
    )

"""What is fitted, and how it is built, dropped, copied, saved and loaded."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import torch
from sklearn.exceptions import NotFittedError
from skorch.callbacks import Callback
from skorch.exceptions import SkorchTrainingImpossibleError
from skorch.hf import AccelerateMixin
from skorch.history import History
from torch import nn

from sk_ils._net.distributed import agreed, forget_wrapping, random_device, unwrap, unwrapped, wrap
from sk_ils._net.estimator_file import load_estimator, save_estimator
from sk_ils._net.fit_data import InputSchema
from sk_ils._net.report import FitReport
from sk_ils._net.rollback import undone_on_error
from sk_ils._net.saving import SavedNetwork, read_network, write_network
from sk_ils._net.seeding import draw_seed, seeded
from sk_ils._net.sklearn_net import SklearnNet
from sk_ils._net.training import TrainingState


class StatefulNet(SklearnNet):
    """Base class; see :class:`sk_ils.TeacherClassifier` for the parameters."""

    # Of one sample, without the sample axis; None if a Dataset does not tell.
    _sample_shape: tuple[int, ...] | None = None
    # Of a forward pass, for one sample; None before the first one.
    _flops: float | None = None
    # Whether `callbacks_` were made of other parameters than those that are set.
    _has_old_callbacks = False
    # Whether the module has seen training rows, if it asks for them.
    _is_adapted = False
    # Exists while a network is trained.
    _training_state: TrainingState | None = None
    temperature_: float
    n_iter_: int
    best_epoch_: int
    fit_report_: FitReport

    # --- device and random numbers ---------------------------------------------------------------

    @contextmanager
    def fit_session(self, seed: int) -> Iterator[None]:
        """Settle the device and seed torch, as every step of a fit needs it.

        Gradients are on inside, whatever the caller's ``torch.no_grad`` or ``inference_mode`` says.

        Parameters
        ----------
        seed : int
            Of torch's generators, which are as they were after the block.

        Yields
        ------
        None
            The block runs inside.
        """
        device = self._on_device()
        with device, seeded(seed, random_device(self)), torch.inference_mode(False), torch.enable_grad():
            yield

    def draw_seed(self) -> int:
        """Return a seed out of `random_state`.

        Returns
        -------
        int
            The same in all processes that train the network.
        """
        return int(agreed(self, draw_seed(self.random_state)))

    # --- building and dropping -------------------------------------------------------------------

    def initialize(self) -> Self:
        """Build the network and its optimizer anew, untrained, as `fit` does by itself.

        Before `fit` this needs the module's sizes as ``module__...`` parameters, or a module
        instance. The network can be loaded into, or trained by `partial_fit`; it predicts once its
        classes are known.

        Returns
        -------
        self
            The estimator.

        Raises
        ------
        ValueError
            If a size is missing.
        """
        if "_asked_device" in vars(self):  # as a step of fit
            super().initialize()
            return self
        self.check_training_readiness()
        self.check_parameters()
        with undone_on_error(self, goes_on=True), self.fit_session(self.draw_seed()):
            return self._build()

    def _build(self) -> Self:
        super().initialize()
        self.temperature_ = 1.0
        self._forget_fit()
        return self

    def _forget_fit(self) -> None:
        """Drop what a fit said of itself, because the network is another one now."""
        for name in ("n_iter_", "best_epoch_", "fit_report_"):
            self.__dict__.pop(name, None)

    def set_params(self, **params: Any) -> Self:
        """Set parameters, all or none; a fitted network changes at the next fit only.

        Exceptions are `lr` and `optimizer__...`, which also act on the optimizer that a following
        `partial_fit` goes on with, as in skorch; `callbacks` and their parameters, which it takes,
        too; and what a callback sets in ``on_train_begin``, such as skorch's InputShapeSetter: the
        network is built anew with it.

        Parameters
        ----------
        **params : dict
            Parameters by name, those of parts as ``part__name``.

        Returns
        -------
        self
            The estimator.
        """
        super().set_params(**params)
        state = self._training_state
        parts = {name.partition("__")[0] for name in params}
        if "callbacks" in parts:
            self._has_old_callbacks = True
        if state is not None and state.may_rebuild and parts.intersection(self._modules):
            self._initialize_module()
            self._initialize_optimizer()
            wrap(self, anew=True)
        return self

    def initialize_callbacks(self) -> Self:
        """Build the callbacks of the parameters, as skorch does, and tell each of them so.

        Returns
        -------
        self
            The estimator.
        """
        super().initialize_callbacks()
        self._has_old_callbacks = False
        return self

    def _knows_classes(self) -> bool:
        return "classes_inferred_" in vars(self)

    def __sklearn_is_fitted__(self) -> bool:
        return bool(super().__sklearn_is_fitted__()) and self._knows_classes()

    def _check_can_predict(self) -> None:
        self.check_is_fitted()
        if not self._knows_classes():
            raise NotFittedError(
                f"This {type(self).__name__} is built, but not fitted: it knows no classes. Call fit, "
                "partial_fit with classes, or load_params with a file of save_params."
            )

    def _reset(self) -> None:
        """Drop everything that a fit has learned."""
        forget_wrapping(self)
        for name in [name for name in vars(self) if name.endswith("_") and not name.startswith("_")]:
            self.__dict__.pop(name)
        for name in ("_modules", "_criteria", "_optimizers", "_sample_shape", "_flops"):
            self.__dict__.pop(name, None)

    def check_training_readiness(self) -> None:
        """Raise after `trim_for_prediction`, also in a clone, which lacks parameters then."""
        lacking = self.iterator_train is None and self.optimizer is None
        if getattr(self, "_trimmed_for_prediction", False) or lacking:
            raise SkorchTrainingImpossibleError(
                "The net's attributes were trimmed for prediction, thus it cannot be used for training "
                f"anymore. Fit a new {type(self).__name__}, or trim a copy.deepcopy."
            )

    def trim_for_prediction(self) -> None:
        """Drop what only training needs, for good: optimizer, history, callbacks; as in skorch."""
        if isinstance(self.callbacks, list):
            self.callbacks = [*self.callbacks]  # skorch empties the list, which is the user's
        super().trim_for_prediction()
        self.virtual_params_ = {}

    # --- what the data told ----------------------------------------------------------------------

    @property
    def _schema(self) -> InputSchema:
        """What fit has learned of its input."""
        return InputSchema(
            self.classes_,
            getattr(self, "n_features_in_", None),
            getattr(self, "feature_names_in_", None),
            self._sample_shape,
        )

    @_schema.setter
    def _schema(self, schema: InputSchema) -> None:
        self.classes_inferred_ = schema.classes
        self._sample_shape = schema.sample_shape
        if schema.n_features_in is not None:
            self.n_features_in_ = schema.n_features_in
        if schema.feature_names_in is not None:
            self.feature_names_in_ = schema.feature_names_in

    # --- copies ----------------------------------------------------------------------------------

    def _current_temperature(self) -> float:
        """Return the temperature that suits the weights as they are, also during training."""
        return self.temperature_

    def __getstate__(self) -> dict[str, Any]:
        # A callback may pickle or copy a network in the middle of its training.
        state: dict[str, Any] = super().__getstate__()
        state["device"] = state.pop("_asked_device", self.device)
        if state.pop("_training_state", None) is not None:
            state["temperature_"] = self._current_temperature()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        asked = state["device"]
        if asked == "auto":
            state = {**state, "device": "cuda" if torch.cuda.is_available() else "cpu"}
        super().__setstate__(state)
        if asked == "auto":
            self.__dict__["device"] = asked

    # --- files -----------------------------------------------------------------------------------

    def save(self, path: Any) -> None:
        """Save the fitted estimator to a file without code: safetensors with JSON.

        The file holds the network, all else that a prediction needs, a checksum, and the parameters
        that are plain: numbers, strings, None, lists, tuples and dicts of them, torch's optimizers,
        the rules of this package. It does not hold the teacher, the history and the optimizer's
        state, which no prediction needs. Other parameters are named in a warning: a class of yours
        as `module`, callbacks, a teacher, and always `checkpoint`, `memory` and
        `torch_load_kwargs`, by which a stranger's file could let a later fit or `load_params` read
        other files.

        Parameters
        ----------
        path : str or path
            A file there is replaced as a whole, or not at all.

        Raises
        ------
        OSError
            If the path cannot be written.
        TypeError
            For labels that are no strings, numbers or booleans, and for subclasses with more than
            one network.

        See Also
        --------
        load : The way back.

        Examples
        --------
        >>> import os, tempfile
        >>> from sklearn.datasets import load_iris
        >>> from sk_ils import TeacherClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> clf = TeacherClassifier(max_epochs=2, random_state=0).fit(X, y)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     clf.save(os.path.join(folder, "iris.safetensors"))
        ...     new = TeacherClassifier.load(os.path.join(folder, "iris.safetensors"))
        >>> (new.predict_proba(X) == clf.predict_proba(X)).all()
        np.True_
        """
        save_estimator(self, path)

    @classmethod
    def load(cls, path: Any, **params: Any) -> Self:
        """Return the fitted estimator of a file of `save`, without running what is in the file.

        Nothing that the file names is imported or called, but optimizers, loaders and rules out of
        a list of torch's and this package's own. It predicts what the saved one predicted, to the
        last bit on the same kind of machine, and its `teacher_` is None. What was saved on a GPU is
        on the CPU where there is none.

        Parameters
        ----------
        path : str or path
            Of the file.
        **params : dict
            Parameters in the place of those of the file. ``module=MyNet``, a class or an instance,
            is needed unless the module is the default one, and so is what it was built with if it
            was not plain, such as ``module__activation=...``.

        Returns
        -------
        self
            A new estimator. With a warning, what `save` left out and you do not pass has its
            default.

        Raises
        ------
        ValueError
            If the file is damaged, no file of `save`, or another class's, or if the network is not
            that of `module`.
        OSError
            If there is no file that can be read.

        See Also
        --------
        save : Writes the file.
        """
        loaded: Self = load_estimator(cls, path, params)
        return loaded

    def _saved_network(self) -> SavedNetwork:
        return SavedNetwork(
            plain_module(self.module_).state_dict(),
            self._schema if self._knows_classes() else None,
            self._current_temperature(),
            self._flops,
        )

    def save_params(
        self,
        f_params: Any = None,
        f_optimizer: Any = None,
        f_criterion: Any = None,
        f_history: Any = None,
        use_safetensors: bool = False,
        **kwargs: Any,
    ) -> None:
        """Save the network with all that prediction needs, the optimizer or the history to files.

        For a whole fitted estimator, with its parameters, use `save`; with its teacher, pickle.

        Parameters
        ----------
        f_params : str, path or binary file, default=None
            The network: safetensors, which holds no code, whatever the file is called. In its
            metadata are `temperature_`, `classes_`, the number and names of features, the shape of
            a sample and a checksum of the file. A path is written as a whole or not at all. During
            training, as in skorch's Checkpoint, the temperature is one that is found for the
            weights of that moment.
        f_optimizer, f_criterion : str, path or binary file, default=None
            As in skorch.
        f_history : str, path or file, default=None
            As JSON.
        use_safetensors : bool, default=False
            Of the other files; `f_params` always is.
        **kwargs : dict
            Files of other modules, such as ``f_module2``.

        Raises
        ------
        TypeError
            For labels that are no strings, numbers or booleans.
        """
        others = {"f_optimizer": f_optimizer, "f_criterion": f_criterion, "f_history": f_history, **kwargs}
        try:
            file = _pop_network_file(f_params, others)
            self.check_is_fitted(msg=f"Call fit or initialize before save_params of a {type(self).__name__}.")
            if file is not None:
                write_network(file, self._saved_network())
            if file is None or _any_file(others):
                super().save_params(**others, use_safetensors=use_safetensors)
        except Exception as error:
            # skorch's Checkpoint swallows the error of a path that cannot be written.
            warnings.warn(f"Could not save parameters: {type(error).__name__}: {error}", stacklevel=2)
            raise

    def load_params(
        self,
        f_params: Any = None,
        f_optimizer: Any = None,
        f_criterion: Any = None,
        f_history: Any = None,
        checkpoint: Callback | None = None,
        use_safetensors: bool = False,
        **kwargs: Any,
    ) -> None:
        """Load the network, optimizer or history from files of `save_params`; all of them or none.

        A new estimator with the same ``module__...`` parameters needs no `fit` before: sizes and
        classes are in the file.

        Parameters
        ----------
        f_params : str, path or binary file, default=None
            A file of `save_params`; or of skorch or ``torch.save(module.state_dict())``, which has
            no temperature: `temperature_` is 1 then, with a warning, and the network must be fitted
            or initialized before.
        f_optimizer, f_criterion : str, path or binary file, default=None
            As in skorch.
        f_history : str, path or file, default=None
            As JSON.
        checkpoint : skorch Checkpoint, default=None
            Names the files that are not given.
        use_safetensors : bool, default=False
            Of the other files; the format of `f_params` is found out.
        **kwargs : dict
            Files of other modules, such as ``f_module2``.

        Raises
        ------
        ValueError
            If the file's classes, features or shapes are not those of this estimator, or if it is
            no such file. Nothing is changed then.
        """
        given = {
            "f_params": f_params,
            "f_optimizer": f_optimizer,
            "f_criterion": f_criterion,
            "f_history": f_history,
            **kwargs,
        }
        given = {name: file for name, file in given.items() if file is not None}
        with undone_on_error(self, goes_on=True), self.fit_session(0):
            others = given if checkpoint is None else {**self._files_of(checkpoint), **given}
            file = _pop_network_file(others.pop("f_params", None), others)
            if file is not None:
                self._load_network(read_network(file, self.torch_load_kwargs), file)
            if file is None or _any_file(others):
                super().load_params(**others, use_safetensors=use_safetensors)

    def _files_of(self, checkpoint: Any) -> dict[str, Any]:
        """Return a checkpoint's files by argument, those of its best epoch by its history."""
        before = self.history_
        if checkpoint.f_history is not None:
            self.history_ = History.from_file(checkpoint.f_history_)
        if not self.history_:
            raise ValueError(
                "The names of a checkpoint's files may depend on the history, which is empty: pass the "
                "file as f_params=, or give the checkpoint an f_history."
            )
        files = {
            name: file for name, file in checkpoint.get_formatted_files(self).items() if file is not None
        }
        self.history_ = before
        files.pop("f_pickle", None)
        if checkpoint.f_history is not None:
            files["f_history"] = checkpoint.f_history_
        return files

    def _load_network(self, saved: SavedNetwork, file: Any) -> None:
        if saved.schema is not None:
            if self._knows_classes():
                _check_same_schema(saved.schema, self._schema)
            self._adopt(saved.schema)
        elif not self.initialized_:
            raise ValueError(
                f"{_name(file)} holds weights only: it does not tell the classes and sizes, as a file of "
                "sk_ils does. Call fit first, or initialize with the sizes as module__... parameters."
            )
        if not self.initialized_:
            self._initialize_to_load()
        module = plain_module(self.module_)
        try:
            module.load_state_dict(saved.state)
        except RuntimeError as error:
            raise ValueError(
                f"{_name(file)} holds another network than this {type(self).__name__} has: {error}\nSet the "
                "module__... parameters that it was saved with."
            ) from error
        if saved.temperature is None:
            warnings.warn(
                f"{_name(file)} holds no temperature: temperature_ is 1, so that probabilities are not "
                "calibrated.",
                stacklevel=3,
            )
        self.temperature_ = 1.0 if saved.temperature is None else saved.temperature
        self._flops = saved.flops
        self._is_adapted = True
        if self._training_state is None:
            self._forget_fit()

    def _initialize_to_load(self) -> None:
        """Build the network; skorch's AccelerateMixin loads on "cpu", and does not build there."""
        device = self.device
        if isinstance(self, AccelerateMixin):
            self.__dict__["device"] = None
        try:
            self.initialize()
        finally:
            self.__dict__["device"] = device
        unwrap(self)

    def _adopt(self, schema: InputSchema) -> None:
        """Take over what a file tells of the data that its network was fitted on."""
        self._schema = schema


def _pop_network_file(f_params: Any, others: dict[str, Any]) -> Any:
    """Return the file of the main module, which has two names in skorch."""
    f_module = others.pop("f_module", None)
    if f_params is not None and f_module is not None:
        raise TypeError("f_params and f_module are the same file: pass one of them.")
    return f_module if f_params is None else f_params


def _any_file(files: dict[str, Any]) -> bool:
    return any(file is not None for file in files.values())


def plain_module(module: nn.Module) -> nn.Module:
    """Return a module without what wraps it, which changes the names of weights.

    Parameters
    ----------
    module : torch module

    Returns
    -------
    torch module
    """
    module = unwrapped(module)
    plain: nn.Module = getattr(module, "_orig_mod", module)  # torch.compile's
    return plain


def _name(file: Any) -> str:
    return str(file) if isinstance(file, str | Path) else "The file"


def _check_same_schema(saved: InputSchema, own: InputSchema) -> None:
    """Raise if a file's network was fitted on data of another kind."""
    pairs = zip(InputSchema._fields, saved, own, strict=True)
    differing = [
        f"{name} is {_listed(theirs)} in the file, and {_listed(ours)} here"
        for name, theirs, ours in pairs
        if theirs is not None and ours is not None and _listed(theirs) != _listed(ours)
    ]
    if differing:
        raise ValueError(
            f"The file's network was fitted on other data: {'; '.join(differing)}. Load it into a new "
            "estimator."
        )


def _listed(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value

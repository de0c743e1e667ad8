"""The key of a cached teacher: all that it depends on, the same in every process."""

import dis
import sys
from collections.abc import Iterator
from functools import cache, cached_property, lru_cache
from importlib import metadata
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import joblib
import numpy as np
import torch
from skorch.callbacks import Callback
from torch import Tensor, nn
from torch.utils.data import Dataset

from sk_ils._net.fit_data import FitData
from sk_ils._net.inputs import is_dataset

_PLAIN = (type(None), bool, int, float, str, bytes)
_LRU = type(lru_cache(len))  # what is decorated so
# Of a class: what says where it stands, or is made of the rest.
_INCIDENTAL = {
    "__abstractmethods__",
    "__annotations__",
    "__dict__",
    "__doc__",
    "__firstlineno__",
    "__module__",
    "__qualname__",
    "__slotnames__",
    "__static_attributes__",
    "__weakref__",
    "_abc_impl",
}


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
    """Return a value's content as NumPy and plain Python, with the code of a user's classes.

    joblib's own hash of tensors, modules and object arrays differs between processes, and knows
    classes and functions by their names only.

    Parameters
    ----------
    value : object

    Returns
    -------
    object
        Of what is installed there is the name, with the version of its package; of other code what
        it does: bytecode, constants, defaults, closures, attributes, bases, and the globals that it
        uses, but no line numbers.
    """
    reader = _Reader()
    own = reader.read(value)
    bodies = reader.bodies()
    return [own, bodies] if bodies else own


class _Reader:
    """Reads one value, and the user's classes and functions that it leads to."""

    def __init__(self) -> None:
        # A user's classes and functions, in the order in which they were met; their places by id.
        # They are read one after the other, since they may refer to each other in chains and
        # circles.
        self.code: list[Any] = []
        self.places: dict[int, int] = {}
        self.open: list[int] = []  # what is being read, for what contains itself

    def bodies(self) -> list[Any]:
        """Read all classes and functions that were met."""
        return [self._class(part) if isinstance(part, type) else self._function(part) for part in self.code]

    def read(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            return str(value.dtype), value.detach().cpu().numpy()
        if isinstance(value, torch.dtype | torch.device):
            return str(value)
        if type(value) in _PLAIN:
            return value
        if (wrapped := _wrapped(value)) is not None:
            return [type(value).__name__, self.read(wrapped)]
        if isinstance(value, type | FunctionType | BuiltinFunctionType | ModuleType):
            return self._named(value)
        if hasattr(value, "__array__"):
            array = np.asarray(value)
            return array.astype(str) if array.dtype == object else array
        if id(value) in self.open:
            return "contains itself", self.open.index(id(value))
        self.open.append(id(value))
        try:
            return self._parts(value)
        finally:
            self.open.pop()

    def _parts(self, value: Any) -> Any:
        kind = type(value)
        if kind is dict:
            return [(str(name), self.read(value[name])) for name in sorted(value, key=str)]
        if kind in (list, tuple):
            return [self.read(part) for part in value]
        if kind in (set, frozenset):
            return sorted(joblib.hash(self.read(part)) for part in value)
        if hasattr(value, "get_params"):
            return self.read(kind), self.read(value.get_params(deep=False))
        if isinstance(value, nn.Module | Dataset | Callback):
            return self.read(kind), self.read(vars(value))
        reduced = value.__reduce_ex__(4)
        if isinstance(reduced, str):
            return self.read(kind), reduced
        # What makes it, of which arguments, its state, its items, and items by key.
        return [self.read(kind), *[self._reduced(part) for part in reduced[:5]]]

    def _reduced(self, part: Any) -> Any:
        return self.read(list(part) if isinstance(part, Iterator) else part)

    def _named(self, value: Any) -> Any:
        """Read what has a name: a class, a function or a module."""
        if isinstance(value, ModuleType):
            name = module = value.__name__
        else:
            # A class may hold a descriptor there, which describes the module of its instances.
            module = value.__module__ if isinstance(value.__module__, str) else "builtins"
            name = f"{module}.{value.__qualname__}"
        version = _installed_version(module)
        if version is not None or isinstance(value, BuiltinFunctionType | ModuleType):
            return [name, version]
        if id(value) not in self.places:
            self.places[id(value)] = len(self.code)
            self.code.append(value)
        return [name, self.places[id(value)]]

    def _class(self, value: type) -> Any:
        own = {name: part for name, part in vars(value).items() if name not in _INCIDENTAL}
        attributes = [(name, self._code_part(own[name])) for name in sorted(own)]
        return [self.read(type(value)), self.read(value.__bases__), attributes]

    def _function(self, value: FunctionType) -> Any:
        codes = list(_nested(value.__code__))
        used = {name for code in codes for name in _global_names(code)} & value.__globals__.keys()
        attributes = {name for code in codes for name in code.co_names}
        return [
            self._code(value.__code__),
            [self._code_part(part) for part in (value.__defaults__, value.__kwdefaults__, vars(value))],
            [self._code_part(_cell_content(cell)) for cell in value.__closure__ or ()],
            [(name, self._global(value.__globals__[name], attributes)) for name in sorted(used)],
        ]

    def _global(self, value: Any, attributes: set[str]) -> Any:
        """Read a global; of a user's module the attributes that the code may use."""
        if not isinstance(value, ModuleType) or _installed_version(value.__name__) is not None:
            return self._code_part(value)
        parts = []
        for name in sorted(attributes & vars(value).keys()):
            part = vars(value)[name]
            inside = isinstance(part, ModuleType) and part.__name__ == f"{value.__name__}.{name}"
            parts.append((name, self._global(part, attributes) if inside else self._code_part(part)))
        return [value.__name__, parts]

    def _code_part(self, value: Any) -> Any:
        """Read what code refers to; of what cannot be read, such as a lock, its type must do."""
        try:
            return self.read(value)
        except Exception:
            return [type(value).__module__, type(value).__qualname__]

    def _code(self, code: CodeType) -> Any:
        constants = [
            self._code(constant) if isinstance(constant, CodeType) else self._code_part(constant)
            for constant in code.co_consts
        ]
        names = [list(part) for part in (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)]
        counts = [code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags]
        return [code.co_code, getattr(code, "co_exceptiontable", b""), constants, names, counts]


def _wrapped(value: Any) -> Any:
    """Return the functions in what only wraps them, None for anything else."""
    if isinstance(value, MethodType):
        return value.__func__, value.__self__
    if isinstance(value, classmethod | staticmethod):
        return value.__func__
    if isinstance(value, property):
        return value.fget, value.fset, value.fdel
    if isinstance(value, cached_property):
        return value.func
    return value.__wrapped__ if isinstance(value, _LRU) else None


def _nested(code: CodeType) -> Any:
    """Yield a code object and those of the functions inside."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _nested(constant)


def _global_names(code: CodeType) -> set[str]:
    return {step.argval for step in dis.get_instructions(code) if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")}


def _cell_content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not yet filled
        return None


@cache
def _installed_version(module_name: str) -> str | None:
    """Return the version of the package of an installed module, None for a user's own.

    Parameters
    ----------
    module_name : str

    Returns
    -------
    str or None
        Code of the user's is what lies in no folder of installed packages, such as a script, a
        notebook, or a project that is installed as editable.
    """
    package = module_name.partition(".")[0]
    if package in sys.stdlib_module_names:
        return ".".join(map(str, sys.version_info[:2]))
    module = sys.modules.get(package)
    places = [getattr(module, "__file__", None), *getattr(module, "__path__", ())]
    parts = {part for place in places if place for part in Path(place).parts}
    if package != "sk_ils" and not parts & {"site-packages", "dist-packages"}:
        return None
    version = getattr(module, "__version__", None)
    if version is None:
        try:
            version = metadata.version(package)
        except metadata.PackageNotFoundError:
            version = ""
    return str(version)

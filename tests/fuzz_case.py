"""One fuzzed case: what it draws, how it calls the package, and what the outcome is called.

An area of ``fuzz_areas.py`` draws expressions by name (:meth:`Case.pick`), calls the package inside
:meth:`Case.ours`, and checks what comes back with :meth:`Case.expect`. An expression that is drawn
depends on the seed and its name alone: so a failing case can be made smaller by going back to the
defaults, one name at a time.
"""

import ast
import linecache
import random
import re
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from scipy import sparse

# Of a raised error that is clear; others, such as KeyError, say what failed and not what to do.
CLEAR_TYPES = (ValueError, TypeError, RuntimeError, AttributeError, NotImplementedError, OSError)
CLEAR_PACKAGES = ("sk_ils", "sklearn", "skorch")


class HostileError(Exception):
    """What a hostile module, callback or teacher raises itself, and what must come through."""


class Refused(Exception):  # noqa: N818
    """A call of the package raised the error that is this one's cause."""


class Wrong(Exception):  # noqa: N818
    """The package returned something that it must not, or changed what is not its own."""


class Verdict(NamedTuple):
    """The outcome of one case: right, clear, raw, bad, hang or broken (the suite's own fault)."""

    seed: int
    area: str
    outcome: str
    place: str
    message: str
    program: str
    seconds: float = 0.0

    @property
    def group(self) -> str:
        """What cases with the same fault have in common."""
        shape = re.sub(r"0x[0-9a-f]+|\d[\d.e+-]*", "#", self.message)
        return f"{self.outcome} | {self.place} | {shape[:100]}"


class Case:
    """Draws by name, and remembers what differs from the defaults.

    Parameters
    ----------
    seed : int
    area : str
    scope : dict
        The names that expressions may use; it gets what is drawn.
    default : frozenset of str
        Names that keep their default.
    """

    def __init__(self, seed: int, area: str, scope: dict[str, Any], default: frozenset[str]) -> None:
        self.seed, self.area, self.default = seed, area, default
        self.scope = dict(scope)
        self.share_odd = self.rng("share").choice([0.0, 0.1, 0.2, 0.4])
        self.drawn: dict[str, str] = {}
        self.calls: list[str] = []
        self._watched: dict[str, Any] = {}

    def rng(self, name: str) -> random.Random:
        """Return a generator for one name."""
        return random.Random(f"{self.seed}/{name}")

    def pick(self, name: str, good: Sequence[str], odd: Sequence[str] = (), *, watch: bool = False) -> Any:
        """Return the value of an expression; the first of the good ones is the default."""
        rng = self.rng(name)
        expression = rng.choice(odd if odd and rng.random() < self.share_odd else good)
        if name in self.default:
            expression = good[0]
        if expression != good[0]:
            self.drawn[name] = expression
        value = eval(expression, self.scope)
        self.scope[name] = value
        if watch:
            self._watched[name] = value
        return value

    @contextmanager
    def ours(self, call: str) -> Iterator[None]:
        """Call the package: an error in the block is the outcome; inputs and generators stay."""
        self.calls.append(call)
        inputs = {name: digest(value) for name, value in self._watched.items()}
        streams = _streams()
        try:
            yield
        except (Wrong, Refused):
            raise
        except BaseException as error:
            self._expect_untouched(inputs, streams)
            raise Refused(call) from error
        self._expect_untouched(inputs, streams)

    def _expect_untouched(self, inputs: dict[str, str], streams: str) -> None:
        for name, before in inputs.items():
            self.expect(digest(self._watched[name]) == before, f"{name} was changed in place")
        self.expect(_streams() == streams, "a global random generator was moved")

    def expect(self, condition: Any, message: str) -> None:
        """Raise Wrong unless the condition holds."""
        if not condition:
            raise Wrong(message)

    @property
    def program(self) -> str:
        """The case as text."""
        drawn = [f"{name} = {expression}" for name, expression in self.drawn.items()]
        return "; ".join(drawn + self.calls)


def _streams() -> str:
    numpy_state = np.random.get_state()  # noqa: NPY002
    return digest([torch.get_rng_state(), numpy_state[1], numpy_state[2], random.getstate()])


def digest(value: Any) -> str:
    """Return a text that differs if the content does, for what a user passes as data."""
    if isinstance(value, torch.Tensor):
        plain = value.layout is torch.strided and not (value.is_meta or value.is_nested or value.is_quantized)
        return (
            digest(value.detach().reshape(-1).contiguous().view(torch.uint8).numpy()) if plain else "opaque"
        )
    if isinstance(value, pd.DataFrame | pd.Series):
        return repr((value.index.tolist(), value.to_dict()))
    if sparse.issparse(value):
        return digest(value.toarray())
    if isinstance(value, np.ndarray) and value.dtype.kind != "O":
        return f"{value.dtype} {value.shape} {hash(value.tobytes())}"
    if isinstance(value, dict):
        return repr({name: digest(item) for name, item in value.items()})
    if isinstance(value, list | tuple):
        return f"{type(value).__name__} {[digest(item) for item in value]}"
    return repr(value)


# --- what an error is called --------------------------------------------------------------------------


def judge(error: BaseException) -> tuple[str, str]:
    """Return "clear" or "raw" for an error, and the place that raised it.

    Clear is what a ``raise`` statement of this package, scikit-learn or skorch has raised, with a type for
    wrong values and more than three words. What a hostile part raises itself is clear if it comes through,
    and so is Python's own word about a keyword that a public function lacks.
    """
    frames = traceback.extract_tb(error.__traceback__)
    last = frames[-1]
    ours = next((frame for frame in reversed(frames) if "/sk_ils/" in frame.filename), last)
    place = f"{Path(last.filename).stem}.{last.name}"
    if ours is not last:
        place = f"{Path(ours.filename).stem}.{ours.name} > {place}"
    if isinstance(error, HostileError) or str(error) == "on purpose":
        return "clear", place
    if (
        isinstance(error, TypeError)
        and "unexpected keyword argument" in str(error)
        and "/fuzz_" in last.filename
    ):
        return "clear", place  # Python's word about the user's own call
    raised = any(f"/{package}/" in last.filename for package in CLEAR_PACKAGES) and _is_raise(
        last.filename, last.lineno or 0
    )
    worded = len(str(error).split()) > 3
    return ("clear" if raised and worded and isinstance(error, CLEAR_TYPES) else "raw"), place


def _is_raise(filename: str, line: int) -> bool:
    return any(start <= line <= end for start, end in _raises(filename))


@cache
def _raises(filename: str) -> list[tuple[int, int]]:
    try:
        tree = ast.parse("".join(linecache.getlines(filename)))
    except SyntaxError:
        return []
    return [
        (node.lineno, node.end_lineno or node.lineno)
        for node in ast.walk(tree)
        if isinstance(node, ast.Raise)
    ]


def run_case(
    seed: int,
    areas: dict[str, Any],
    scope: dict[str, Any],
    *,
    area: str,
    default: frozenset[str] = frozenset(),
) -> Verdict:
    """Run one case to its verdict."""
    case = Case(seed, area, scope, default)
    start = time.process_time()
    place = message = ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            areas[area](case)
        outcome = "right"
    except Refused as refused:
        error = refused.__cause__
        assert error is not None
        outcome, place = judge(error)
        message = f"{type(error).__name__}: {' '.join(str(error).split())}"
    except Wrong as wrong:
        outcome, place, message = "bad", case.calls[-1] if case.calls else "", str(wrong)
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(last.filename).name}:{last.lineno}"
        outcome, message = "broken", f"{type(error).__name__}: {error}"
    return Verdict(seed, area, outcome, place, message, case.program, time.process_time() - start)

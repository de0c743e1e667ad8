"""skorch's own tests on our class: what works as there, what differs on purpose, and what is a defect.

    make skorch-suite
    python tests/skorch_suite.py test_history.py -k slice

The tests are those of the installed skorch; nothing of them is copied. Where they say `NeuralNetClassifier`
they get a `TeacherClassifier` with the default values of skorch's class, and the networks of their fixtures
return logits instead of probabilities. `skorch_differences.md` names every test that we fail on purpose, with
the reason. A failed test that is not in that table is a defect; so is a line of the table whose test passes,
since it says something untrue.
"""

import contextlib
import sys
from collections import Counter
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import pytest
import skorch
import skorch.toy
import torch
from skorch.dataset import ValidSplit

from sk_ils import TeacherClassifier

SUITE = Path(skorch.__file__).parent / "tests"
FILES = ("test_classifier.py", "test_net.py", "test_helper.py", "test_history.py", "callbacks")
TABLE = Path(__file__).with_name("skorch_differences.md")
# Tests of other classes than ours; and of distributed training, where processes wait for ever for one that is
# refused.
ELSEWHERE = ("NeuralNetBinaryClassifier", "NeuralNetRegressor", "DistributedHistoryMultiprocessing")


class NeuralNetClassifier(TeacherClassifier):
    """Ours, with the default values of skorch's."""

    def __init__(
        self,
        module: Any,
        *,
        optimizer: Any = torch.optim.SGD,
        lr: float = 0.01,
        max_epochs: int = 10,
        train_split: Any = ValidSplit(5),  # noqa: B008
        verbose: int = 2,  # which prints as skorch's 1
        device: str = "cpu",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            module,
            optimizer=optimizer,
            lr=lr,
            max_epochs=max_epochs,
            train_split=train_split,
            verbose=verbose,
            device=device,
            **kwargs,
        )


def install() -> None:
    """Let skorch's tests import our class, and networks that return logits."""
    # Not in skorch.classifier, whose own methods look it up there.
    skorch.NeuralNetClassifier = NeuralNetClassifier
    skorch.toy.make_classifier = partial(partial, skorch.toy.MLPModule)
    # A package that runs failed tests again, which skorch's tests import.
    sys.modules.setdefault("flaky", SimpleNamespace(flaky=lambda **_: lambda test: test))  # type: ignore


class Outcomes:
    """A pytest plugin that notes how each test ended."""

    def __init__(self) -> None:
        self.by_test: dict[str, str] = {}
        self.errors: dict[str, str] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Leave out what is not for us."""
        items[:] = [item for item in items if not any(name in item.nodeid for name in ELSEWHERE)]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note the worst of setup, call and teardown."""
        name = report.nodeid.partition("tests/")[2] or report.nodeid
        if report.when == "call" or report.outcome != "passed":
            self.by_test[name] = report.outcome
        if report.outcome == "failed":
            crash = getattr(report.longrepr, "reprcrash", None)
            message = str(report.longrepr) if crash is None else crash.message
            self.errors[name] = message.partition("\n")[0][:100]


def differences() -> dict[str, str]:
    """Return the reasons of the table by test; a test without [parameters] stands for all of them."""
    rows = [line.split("|") for line in TABLE.read_text().splitlines() if line.startswith("| `")]
    return {cells[1].strip().strip("`"): cells[2].strip() for cells in rows}


def main(arguments: list[str]) -> int:
    """Run the tests, print the three numbers, and return the number of defects."""
    install()
    chosen = [argument for argument in arguments if argument.split("::")[0] in FILES or "/" in argument]
    options = [argument for argument in arguments if argument not in chosen]
    outcomes = Outcomes()
    quiet = ["-q", "-p", "no:cacheprovider", "-p", "no:randomly", "-c", "/dev/null", "-W", "ignore"]
    paths = [str(SUITE / name) for name in chosen or FILES]
    shown = options or ["--tb=no", "--no-summary"]
    with (
        TemporaryDirectory() as folder,
        contextlib.chdir(folder),
    ):  # checkpoints go into the working directory
        pytest.main([*quiet, f"--rootdir={SUITE.parent}", *shown, *paths], [outcomes])

    reasons, met = differences(), outcomes.by_test
    failed = [name for name, outcome in met.items() if outcome == "failed"]
    known = [name for name in failed if {name, name.partition("[")[0]} & set(reasons)]
    defects = sorted(set(failed) - set(known))
    told = {name for test in known for name in (test, test.partition("[")[0])}
    untrue = [] if options or chosen else sorted(set(reasons) - told)
    n_of = Counter(met.values())
    print(f"\npassed {n_of['passed']}, deliberate {len(known)}, defects {len(defects)}", end=", ")
    print(f"skipped {n_of['skipped']}")
    for name in defects:
        print(f"  defect: {name}: {outcomes.errors[name]}")
    for name in untrue:
        print(f"  passes, or is gone, but is in the table: {name}")
    return len(defects) + len(untrue)


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1:]), 1))

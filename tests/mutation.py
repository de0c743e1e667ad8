"""Mutation testing: which faults in the code would no test notice?

A mutant is a module with one small fault, such as ``<`` in place of ``<=``. It is *killed* if a test fails,
and *survives* otherwise. A survivor is a missing test, or code that can be written in another way without
harm: that goes into ``mutation_survivors.md`` with its reason and is counted as *accepted* from then on.

    make mutation
    python tests/mutation.py --only sk_ils/smoothing.py --report smoothing.csv
    python tests/mutation.py --sample 20 --seed 1
    python tests/mutation.py --resume

TARGETS says which tests own a module; only these run, so a distant test may still notice a survivor. They
run once without a fault, to note which lines each test reaches. Then every mutant gets the tests that reach
its statement, fastest first, as many as fit into BUDGET seconds, until one fails. A killed mutant mostly
takes less than a second, a survivor as long as all its tests. Nothing but the report is written to the
working tree.

``mutants.py`` lists the faults. Left out: texts, messages, annotations, assert statements, decorators. Tests
that start a new process do not see the mutant there, and hypothesis draws only 30 fixed examples a test. With
``--resume``, the rows of an unfinished report are kept: the code must be the same.
"""

import argparse
import ast
import csv
import gc
import importlib
import os
import random
import re
import signal
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from itertools import accumulate
from multiprocessing import get_context
from multiprocessing.connection import wait
from pathlib import Path
from types import CodeType
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # torch's threads would not survive the fork

import coverage
import hypothesis
import pytest
from mutants import Mutant, mutants_of

ROOT = Path(__file__).resolve().parent.parent
ACCEPTED = ROOT / "tests" / "mutation_survivors.md"
BUDGET = 120.0

# A module's own file stands for its doctests.
TARGETS = {
    "sk_ils/temperature/_scaling.py": ["sk_ils/temperature/_scaling.py", "tests/test_temperature.py"],
    "sk_ils/temperature/_classifier.py": ["sk_ils/temperature", "tests/test_scaled_classifier.py"],
    "sk_ils/smoothing.py": [
        "sk_ils/smoothing.py",
        "tests/test_smoothing.py",
        "tests/test_student_rules.py",
        "tests/test_class_rules.py",
    ],
    "sk_ils/_net/teachers.py": [
        "tests/test_teachers.py",
        "tests/test_net.py",
        "tests/test_holdout.py",
        "tests/test_inputs.py",
        "tests/test_interoperation.py",
    ],
    "sk_ils/_net/teacher_cache.py": ["tests/test_teachers.py"],
    "sk_ils/_net/predicting_net.py": [
        "tests/test_net.py",
        "tests/test_inputs.py",
        "tests/test_interoperation.py",
        "tests/test_from_skorch.py",
    ],
    "sk_ils/_net/calibrated_net.py": [
        "tests/test_net.py",
        "tests/test_inputs.py",
        "tests/test_interoperation.py",
        "tests/test_holdout.py",
        "tests/test_teachers.py",
        "tests/test_search.py",
    ],
    "sk_ils/_search/candidates.py": ["tests/test_search.py"],
    "sk_ils/_search/evaluation.py": ["tests/test_search.py"],
    "sk_ils/_search/pipelines.py": ["tests/test_search.py"],
    "sk_ils/_search/stack.py": ["tests/test_search.py"],
    "sk_ils/_search/support.py": ["tests/test_search.py", "tests/test_search_memory.py"],
    "sk_ils/_search/memory.py": ["tests/test_search_memory.py"],
    "sk_ils/_search/training.py": ["tests/test_search.py"],
}

# What the tests import, loaded once in the parent: a child that is forked for a mutant has it already.
PRELOADED = [
    "hypothesis.extra.numpy",
    "matplotlib.pyplot",
    "pandas",
    "scipy.special",
    "sklearn.calibration",
    "sklearn.ensemble",
    "sklearn.utils.estimator_checks",
    "skorch.callbacks",
    "torch.func",
]


class MutatedLoader(SourceFileLoader):
    """Loads one module from code in memory; neither reads nor writes its compiled file."""

    def __init__(self, module: str, code: CodeType) -> None:
        super().__init__(_import_name(module), str(ROOT / module))
        self.code = code

    def get_code(self, fullname: str) -> CodeType:
        return self.code

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        return spec_from_file_location(fullname, self.path, loader=self) if fullname == self.name else None


class Tests:
    """A pytest plugin that runs the chosen tests in their order and notes which fail."""

    def __init__(self, chosen: list[str], known: set[str]) -> None:
        self.rank = {test: rank for rank, test in enumerate(chosen)}
        self.known = known
        self.failed: list[str] = []

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        # A mutant may change a parameter's name: a test that is not known by its name runs first.
        here = [item for item in items if item.nodeid in self.rank or item.nodeid not in self.known]
        items[:] = sorted(here, key=lambda item: self.rank.get(item.nodeid, -1))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.append(report.nodeid)


class Reach(Tests):
    """Notes, too, how long each test takes, and tells coverage which test is running."""

    def __init__(self, measured: coverage.Coverage) -> None:
        super().__init__([], set())
        self.measured = measured
        self.seconds: dict[str, float] = {}
        self.running = ""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        self.running = item.nodeid
        self.measured.switch_context(item.nodeid)
        start = time.perf_counter()
        outcome = yield
        self.seconds[item.nodeid] = time.perf_counter() - start
        return outcome

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Any:
        # What several tests share is not the first one's alone: like an import, it has no name.
        self.measured.switch_context(self.running if fixturedef.scope == "function" else "")
        value = yield
        self.measured.switch_context(self.running)
        return value


def _import_name(module: str) -> str:
    return module.removesuffix(".py").replace("/", ".")


def run_pytest(files: list[str], plugin: Tests) -> int:
    hypothesis.settings.register_profile(
        "mutation", derandomize=True, database=None, deadline=None, max_examples=30
    )
    hypothesis.settings.load_profile("mutation")
    options = ["-x", "-q", "--tb=no", "-p", "no:cacheprovider", "-p", "no:randomly", "--rootdir", str(ROOT)]
    # hypothesis is loaded before pytest's plugins could rewrite its assertions, which pytest warns of
    options += ["-c", str(ROOT / "pyproject.toml"), "-W", "ignore::pytest.PytestAssertRewriteWarning"]
    return int(pytest.main([*options, *files], plugins=[plugin]))


def measure(modules: list[str], file: str) -> tuple[dict[str, float], dict[str, Any]] | str:
    """Run one file's tests without a fault: their seconds, and who reaches each line; or what is wrong."""
    measured = coverage.Coverage(
        data_file=None, config_file=False, include=[str(ROOT / module) for module in modules]
    )
    plugin = Reach(measured)
    measured.start()
    for module in modules:
        importlib.import_module(_import_name(module))
    code = run_pytest([str(ROOT / file)], plugin)
    measured.stop()
    if code not in (0, 5):
        return f"{file} fails without a mutant, too: {plugin.failed or code}"
    lines = {module: measured.get_data().contexts_by_lineno(str(ROOT / module)) for module in modules}
    return plugin.seconds, lines


def try_mutant(mutant: Mutant, tree: ast.Module, tests: list[str], known: set[str]) -> str:
    """Return "survived" or "killed by" the first test that fails."""
    if not tests:
        return "survived: no test reaches it"
    mutant.place.put(mutant.replacement)  # in this process alone
    try:
        code = compile(ast.fix_missing_locations(tree), str(ROOT / mutant.module), "exec")
        sys.meta_path.insert(0, MutatedLoader(mutant.module, code))
        importlib.import_module(_import_name(mutant.module))
    except Exception as error:
        return f"killed by {type(error).__name__} on import"
    plugin = Tests(tests, known)
    files = dict.fromkeys(str(ROOT / test.split("::")[0]) for test in tests)
    exit_code = run_pytest(list(files), plugin)
    return "survived" if exit_code in (0, 5) else f"killed by {(plugin.failed or ['an import'])[0]}"


@dataclass
class Task:
    """What one child does, in how many seconds at most; ``outcome`` is filled in."""

    subject: Any
    work: Callable[[], Any]
    limit: float
    outcome: Any = None
    seconds: float = 0.0


def _child(task: Task, sender: Any) -> None:
    os.setsid()  # a group of its own, which is killed with all that its tests started
    silence = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(silence, stream)
    try:
        sender.send(task.work())
    except BaseException as error:  # also pytest's exits
        sender.send(f"killed by {type(error).__name__}: {error}")


def in_children(tasks: list[Task], jobs: int) -> Iterator[Task]:
    """Do each task in a forked child, and yield it when it is done, out of order."""
    fork = get_context("fork")
    waiting, running = tasks[::-1], {}
    while waiting or running:
        while waiting and len(running) < jobs:
            task = waiting.pop()
            receiver, sender = fork.Pipe(duplex=False)
            child = fork.Process(target=_child, args=(task, sender))
            child.start()
            sender.close()
            running[receiver] = task, child, time.monotonic()
        ready = wait(list(running), timeout=1.0)
        for receiver, (task, child, start) in list(running.items()):
            task.seconds = time.monotonic() - start
            if receiver in ready:
                try:
                    task.outcome = receiver.recv()
                except EOFError:
                    task.outcome = "killed by a crash"
            elif task.seconds > task.limit:
                task.outcome = "killed by time"
            else:
                continue
            del running[receiver]
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.join()
            yield task


# --- all mutants --------------------------------------------------------------------------------------

FIELDS = ["module", "line", "diff", "outcome", "seconds"]


@dataclass
class Baseline:
    """How long each test takes without a fault, and which tests reach a line of a module."""

    seconds: dict[str, float]
    reached: dict[tuple[str, int], set[str]]

    def tests_of(self, mutant: Mutant) -> list[str]:
        """Return the tests that reach a mutant, fastest first, as many as fit into the budget."""
        reaching = set().union(*(self.reached[mutant.module, line] for line in mutant.statement))
        tests = sorted(reaching, key=self.seconds.__getitem__)
        total = accumulate(self.seconds[test] for test in tests)
        return [test for test, seconds in zip(tests, total, strict=True) if seconds <= BUDGET] or tests[:1]


def baseline(modules: list[str], jobs: int) -> Baseline:
    found = Baseline({}, defaultdict(set))
    tasks = []
    for file in dict.fromkeys(file for module in modules for file in TARGETS[module]):
        owned = [module for module in modules if file in TARGETS[module]]
        tasks.append(Task(file, partial(measure, owned, file), float("inf")))
    for task in in_children(tasks, jobs):
        if not isinstance(task.outcome, tuple):
            raise SystemExit(str(task.outcome))
        seconds, lines = task.outcome
        found.seconds |= seconds
        for module, contexts in lines.items():
            for line, tests in contexts.items():
                found.reached[module, line] |= set(seconds) if "" in tests else set(tests)
        print(f"{task.subject}: {len(seconds)} tests in {sum(seconds.values()):.0f} s", flush=True)
    return found


def tasks_of(
    module: str, known: Baseline, arguments: argparse.Namespace, done: set[tuple[str, str]]
) -> list[Task]:
    tree = ast.parse((ROOT / module).read_text())
    mutants = mutants_of(module, tree)
    if arguments.sample is not None:
        size = min(arguments.sample, len(mutants))
        mutants = random.Random(arguments.seed).sample(mutants, size)
    tasks = []
    for mutant in sorted(mutants, key=lambda mutant: mutant.line):
        if (module, mutant.diff) not in done:
            tests = known.tests_of(mutant)
            limit = max(20.0, 5 * sum(known.seconds[test] for test in tests))
            tasks.append(Task(mutant, partial(try_mutant, mutant, tree, tests, set(known.seconds)), limit))
    return tasks


def accepted_survivors() -> set[tuple[str, str]]:
    """Read (module, diff) from the table; a bar inside a cell is written as ``\\|``."""
    rows = [
        re.split(r"(?<!\\)\|", line) for line in ACCEPTED.read_text().splitlines() if line.startswith("| `")
    ]
    return {tuple(cell.strip(" `").replace("\\|", "|") for cell in row[1:3]) for row in rows}


def print_summary(rows: list[dict[str, str]]) -> None:
    accepted = accepted_survivors()
    survivors = [row for row in rows if not row["outcome"].startswith("killed")]
    open_ = [row for row in survivors if (row["module"], row["diff"]) not in accepted]
    print("\n| module | mutants | killed | accepted | survived | killed % | without accepted % |")
    print("|---|---|---|---|---|---|---|")
    for module in [*dict.fromkeys(row["module"] for row in rows), ""]:
        n, n_survivors, n_open = (
            sum(module in ("", row["module"]) for row in group) for group in (rows, survivors, open_)
        )
        killed, n_accepted = n - n_survivors, n_survivors - n_open
        shares = f"{killed / max(n, 1):.0%} | {killed / max(n - n_accepted, 1):.0%}"
        print(f"| {module or 'all'} | {n} | {killed} | {n_accepted} | {n_open} | {shares} |")
    for row in sorted(open_, key=lambda row: (row["module"], int(row["line"]))):
        print(f"{row['module']}:{row['line']}  {row['diff']}  ({row['outcome']})")
    for module, diff in accepted - {(row["module"], row["diff"]) for row in survivors}:
        if any(row["module"] == module and row["diff"] == diff for row in rows):
            print(f"accepted, but killed: {module}  {diff}")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=TARGETS, default=list(TARGETS), metavar="MODULE")
    parser.add_argument("--jobs", type=int, default=2, help="mutants at the same time")
    parser.add_argument(
        "--sample", type=int, metavar="N", help="try N mutants of each module, drawn at random"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument(
        "--report", type=Path, default="mutation.csv", help="a CSV file with a row for each mutant"
    )
    parser.add_argument(
        "--resume", action="store_true", help="keep the rows of the report and add what is missing"
    )
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    rows = (
        list(csv.DictReader(arguments.report.open()))
        if arguments.resume and arguments.report.exists()
        else []
    )
    sys.path.insert(0, str(ROOT))
    for name in PRELOADED:
        importlib.import_module(name)
    gc.freeze()  # a child's garbage collector leaves alone what it shares with the parent
    with arguments.report.open("w", newline="") as file, tempfile.TemporaryDirectory() as folder:
        os.environ["TMPDIR"] = tempfile.tempdir = folder
        os.chdir(folder)
        report = csv.DictWriter(file, FIELDS)
        report.writeheader()
        report.writerows(rows)
        known = baseline(arguments.only, arguments.jobs)
        done = {(row["module"], row["diff"]) for row in rows}
        tasks = [task for module in arguments.only for task in tasks_of(module, known, arguments, done)]
        for task in in_children(tasks, arguments.jobs):
            mutant = task.subject
            values = mutant.module, mutant.line, mutant.diff, task.outcome, f"{task.seconds:.1f}"
            rows.append(dict(zip(FIELDS, map(str, values), strict=True)))
            report.writerow(rows[-1])
            file.flush()
            print(
                f"{mutant.module}:{mutant.line}  {mutant.diff}  {task.outcome}, {task.seconds:.1f} s",
                flush=True,
            )
        os.chdir(ROOT)
    print_summary(rows)


if __name__ == "__main__":
    main()

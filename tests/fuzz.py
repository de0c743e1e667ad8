"""Fuzzing: does every call end in a valid result, or in an error that helps?

A case is drawn from its number alone: data, labels, weights, parameters, modules, teachers, rules, grids,
most of them good and a few of them odd. Its outcome is one of

right     what came back is valid: probabilities, classes, metrics; inputs and generators are untouched
clear     a ``raise`` of this package, scikit-learn or skorch that says what was expected or what came
raw       any other error
bad       an invalid result, a changed input, or an estimator changed by a call that was refused
hang      no outcome within LIMIT seconds of CPU time, or six times as many on the clock

    make fuzz
    python tests/fuzz.py --cases 1000 --areas tables teachers
    python tests/fuzz.py --case 123

``fuzz_values.py`` holds what is drawn, ``fuzz_fits.py`` and ``fuzz_numbers.py`` what is called with it,
``fuzz_case.py`` how it is judged. Raw errors that are accepted stand in ``fuzz_accepted.md`` with their
reasons; a case that is bad, hangs or is otherwise raw makes the exit status 1. Of each group of such cases
one is printed, made as small as it goes. Cases run in forked processes, many in each.
"""

import argparse
import gc
import io
import json
import os
import random
import re
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # torch's threads would not survive the fork

import fuzz_fits
import fuzz_numbers
import fuzz_parts
import torch
from fuzz_case import Verdict, run_case

AREAS: dict[str, Any] = fuzz_fits.AREAS | fuzz_numbers.AREAS
FUNCTIONS = {name: function for name, (function, _) in AREAS.items()}
ACCEPTED = Path(__file__).resolve().parent / "fuzz_accepted.md"
OUTCOMES = ["right", "clear", "raw", "accepted", "bad", "hang", "broken"]
LIMIT = 20.0
CHUNK = 50


def area_of(seed: int, areas: list[str]) -> str:
    return random.Random(f"{seed}/area").choices(areas, [AREAS[name][1] for name in areas])[0]


def run_seed(seed: int, areas: list[str], default: frozenset[str] = frozenset()) -> Verdict:
    return run_case(seed, FUNCTIONS, fuzz_parts.scope(), area=area_of(seed, areas), default=default)


# --- many cases, in forked processes ------------------------------------------------------------------


@dataclass
class Worker:
    """A forked process and the seeds that it still owes."""

    process: Any
    receiver: Any
    seeds: list[int]
    since: float = field(default_factory=time.monotonic)


def _work(seeds: list[int], areas: list[str], sender: Any) -> None:
    silence = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(silence, stream)
    for seed in seeds:
        signal.setitimer(signal.ITIMER_PROF, LIMIT)  # its signal ends the process
        sender.send(run_seed(seed, areas))


def _start(seeds: list[int], areas: list[str]) -> Worker:
    fork = get_context("fork")
    receiver, sender = fork.Pipe(duplex=False)
    process = fork.Process(target=_work, args=(seeds, areas, sender))
    process.start()
    sender.close()
    return Worker(process, receiver, seeds)


def run_all(seeds: list[int], areas: list[str], jobs: int) -> Iterator[Verdict]:
    """Run all cases and yield their verdicts out of order; a process that hangs or dies is replaced."""
    waiting = [seeds[start : start + CHUNK] for start in range(0, len(seeds), CHUNK)][::-1]
    workers: list[Worker] = []
    while waiting or workers:
        while waiting and len(workers) < jobs:
            workers.append(_start(waiting.pop(), areas))
        ready = wait([worker.receiver for worker in workers], timeout=1.0)
        for worker in list(workers):
            outcome = ""
            if worker.receiver in ready:
                try:
                    verdict = worker.receiver.recv()
                    worker.seeds = worker.seeds[1:]
                    worker.since = time.monotonic()
                    yield verdict
                except EOFError:
                    outcome = _end(worker)
            elif time.monotonic() - worker.since > 6 * LIMIT:
                outcome = "hang"
            if outcome and worker.seeds:
                seed, *rest = worker.seeds
                yield Verdict(seed, area_of(seed, areas), outcome, "", "its process was ended", "")
                waiting += [rest] if rest else []
            if outcome or not worker.seeds:
                _end(worker)
                workers.remove(worker)


def _end(worker: Worker) -> str:
    """End a process that is not needed any more; return what its end says about its case."""
    worker.process.join(timeout=1.0)
    if worker.process.is_alive():
        os.kill(worker.process.pid, signal.SIGKILL)
        worker.process.join()
    return "hang" if worker.process.exitcode == -signal.SIGPROF else "bad"


# --- the report ---------------------------------------------------------------------------------------


def accepted_errors() -> list[tuple[str, re.Pattern[str]]]:
    """Read (place, message) from the table; both are regular expressions, a bar is written as ``\\|``."""
    rows = [
        re.split(r"(?<!\\)\|", line) for line in ACCEPTED.read_text().splitlines() if line.startswith("| `")
    ]
    return [
        tuple(re.compile(cell.strip().strip("`").replace("\\|", "|")) for cell in row[1:3])  # type: ignore[misc]
        for row in rows
    ]


def with_accepted(verdict: Verdict, accepted: list[Any]) -> Verdict:
    if verdict.outcome == "raw" and any(
        place.search(verdict.place) and message.search(verdict.message) for place, message in accepted
    ):
        return verdict._replace(outcome="accepted")
    return verdict


def smallest(verdict: Verdict, areas: list[str]) -> Verdict:
    """Go back to the defaults, one drawn name at a time, as long as the outcome stays."""
    if verdict.outcome == "hang" or not verdict.place:
        return verdict
    default: frozenset[str] = frozenset()
    names = [part.partition(" = ")[0] for part in verdict.program.split("; ") if " = " in part]
    for name in names:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            smaller = run_seed(verdict.seed, areas, default | {name})
        if smaller.group == verdict.group:
            default, verdict = default | {name}, smaller
    return verdict


def print_table(verdicts: list[Verdict]) -> None:
    print(
        "\n| area | cases | " + " | ".join(OUTCOMES) + " | CPU s |\n|---|---|" + "---|" * (len(OUTCOMES) + 1)
    )
    for area in [*AREAS, "all"]:
        rows = [verdict for verdict in verdicts if area in ("all", verdict.area)]
        counts = Counter(verdict.outcome for verdict in rows)
        cells = [
            area,
            len(rows),
            *(counts[name] for name in OUTCOMES),
            f"{sum(row.seconds for row in rows):.0f}",
        ]
        if rows:
            print("| " + " | ".join(map(str, cells)) + " |")


def report(verdicts: list[Verdict], areas: list[str], path: Path | None, shrink: bool) -> int:
    groups = defaultdict(list)
    for verdict in verdicts:
        if verdict.outcome not in ("right", "clear"):
            groups[verdict.group].append(verdict)
    records = []
    order = {"broken": 0, "hang": 1, "bad": 2, "raw": 3, "accepted": 4}
    for members in sorted(groups.values(), key=lambda members: (order[members[0].outcome], -len(members))):
        first = members[0]
        if shrink and first.outcome in ("bad", "raw"):
            first = smallest(first, areas)._replace(outcome=first.outcome)
        records.append({"cases": len(members), **first._asdict()})
        if first.outcome != "accepted":
            print(f"\n{first.outcome} x {len(members)}, {first.area}, --case {first.seed}: {first.place}")
            print(f"    {first.message[:300]}\n    {first.program[:400]}")
    print_table(verdicts)
    if path is not None:
        path.write_text(json.dumps(records, indent=1))
    return int(any(record["outcome"] != "accepted" for record in records))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=8000, help="how many cases")
    parser.add_argument("--seed", type=int, default=0, help="number of the first case")
    parser.add_argument("--case", type=int, help="run this case alone, in this process, and show its error")
    parser.add_argument("--areas", nargs="+", choices=AREAS, default=list(AREAS), metavar="AREA")
    parser.add_argument("--jobs", type=int, default=2, help="processes at the same time")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="start no case after this time")
    parser.add_argument("--report", type=Path, help="a JSON file with a record for each group of errors")
    parser.add_argument("--no-shrink", action="store_true", help="show cases as they were drawn")
    return parser.parse_args()


def main() -> int:
    arguments = parse_arguments()
    torch.set_num_threads(1)
    if arguments.case is not None:
        verdict = run_seed(arguments.case, arguments.areas)
        print("\n".join(f"{name}: {value}" for name, value in verdict._asdict().items()))
        return 0
    gc.freeze()  # a child's garbage collector leaves alone what it shares with the parent
    accepted = accepted_errors()
    seeds = list(range(arguments.seed, arguments.seed + arguments.cases))
    start, verdicts = time.monotonic(), []
    try:
        for verdict in run_all(seeds, arguments.areas, arguments.jobs):
            verdicts.append(with_accepted(verdict, accepted))
            if len(verdicts) % 500 == 0:
                print(
                    f"{len(verdicts)} cases in {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True
                )
            if time.monotonic() - start > arguments.seconds:
                break
    except KeyboardInterrupt:  # report what there is
        pass
    return report(verdicts, arguments.areas, arguments.report, not arguments.no_shrink)


if __name__ == "__main__":
    sys.exit(main())

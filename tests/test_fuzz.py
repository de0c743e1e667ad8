"""The judgement of the fuzz suite."""

from pathlib import Path

import pytest
import torch

TESTS = Path(__file__).resolve().parent


@pytest.fixture
def fuzz(monkeypatch):
    monkeypatch.syspath_prepend(TESTS)
    import fuzz_case

    return fuzz_case


def outcome(fuzz, area):
    return fuzz.run_case(0, {"area": area}, {}, area="area").outcome


def raised(error):
    def area(case):
        with case.ours("call"):
            raise error

    return area


def test_a_valid_result_is_right(fuzz):
    assert outcome(fuzz, lambda case: case.expect(True, "")) == "right"


def test_an_error_that_this_package_raises_is_clear(fuzz):
    from sk_ils.metrics import expected_calibration_error

    def area(case):
        with case.ours("call"):
            expected_calibration_error([0, 1], [0.2, 7.0])

    assert outcome(fuzz, area) == "clear"


def test_an_error_from_anywhere_else_is_raw(fuzz):
    assert outcome(fuzz, raised(KeyError("valid_loss"))) == "raw"
    assert outcome(fuzz, raised(ValueError("a sentence of more than three words"))) == "raw"


def test_what_a_hostile_part_raises_itself_comes_through(fuzz):
    assert outcome(fuzz, raised(fuzz.HostileError("on purpose"))) == "clear"


def test_a_changed_input_is_bad(fuzz):
    def area(case):
        values = case.pick("values", ["[1, 2]"], watch=True)
        with case.ours("call"):
            values.append(3)

    assert outcome(fuzz, area) == "bad"


def test_a_moved_generator_is_bad(fuzz):
    def area(case):
        import random

        with case.ours("call"):
            random.random()

    assert outcome(fuzz, area) == "bad"


def test_a_fault_of_the_suite_is_no_fault_of_the_package(fuzz):
    assert outcome(fuzz, lambda case: case.pick("x", ["undefined"])) == "broken"


def test_calls_end_in_a_valid_result_or_in_an_error_that_helps(fuzz, tmp_path, monkeypatch):
    import fuzz as suite

    monkeypatch.chdir(tmp_path)  # a Checkpoint may write here
    areas, accepted = list(suite.AREAS), suite.accepted_errors()
    with torch.random.fork_rng():  # modules that are drawn as instances take their weights from it
        verdicts = [suite.run_seed(seed, areas) for seed in range(20_000, 20_120)]
    verdicts = [suite.with_accepted(verdict, accepted) for verdict in verdicts]
    assert [verdict for verdict in verdicts if verdict.outcome not in ("right", "clear", "accepted")] == []
    assert sum(verdict.outcome == "right" for verdict in verdicts) > 30

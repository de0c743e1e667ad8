"""The metrics of other libraries: the committed numbers are what the command prints."""

import re
import sys
from pathlib import Path

import pytest

from benchmarks import metrics_of_others

RESULTS = Path(__file__).parents[1] / "results" / "metrics_of_others.txt"
PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


@pytest.fixture
def printed(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["metrics_of_others"])
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))  # empty modules are for this test alone
    modules = set(sys.modules)
    metrics_of_others.main()
    for name in set(sys.modules) - modules:
        if name.split(".")[0] in ("torchvision", "torch_uncertainty"):
            del sys.modules[name]
    return capsys.readouterr().out


def test_the_committed_numbers_are_those_that_the_command_prints(printed):
    committed = RESULTS.read_text(encoding="utf-8").splitlines()
    lines = [line for line in printed.splitlines() if "not imported" not in line]
    assert len(lines) > 20
    for line in lines:
        if line.startswith("  ") and not line.startswith("    "):
            continue  # a library's name and version
        call, *numbers = re.split(r"(?<= )(?=\d\.\d{6})", line)
        near = [other for other in committed if other.startswith(call)]
        assert near, line
        if numbers:
            found = [[float(n) for n in re.findall(r" (\d\.\d{6})", other)] for other in near]
            wanted = [float(n) for n in re.findall(r" (\d\.\d{6})", line)]
            assert any(other == pytest.approx(wanted, abs=2e-6) for other in found), line


def test_no_difference_is_unexplained(printed):
    assert "ANOTHER" not in printed
    assert "ANOTHER" not in RESULTS.read_text(encoding="utf-8")


def test_the_page_shows_the_committed_numbers():
    halves = RESULTS.read_text(encoding="utf-8").split("naive Bayes:")
    first, second = (re.findall(r"^    (\S.*?) {2,}(\d\.\d{6})  \d", half, re.MULTILINE) for half in halves)
    rows = re.findall(
        r"^\| `([^`]*)` \| (\d\.\d{4}) \| (\d\.\d{4}|error) \|",
        PAGE.read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    shown = {call: numbers for call, *numbers in rows}
    assert len(shown) > 15
    for call, (mine, other) in shown.items():
        for number, part in ((mine, first), (other, second)):
            if number != "error":
                found = {round(float(theirs), 4) for name, theirs in part if name == call}
                assert float(number) in found, call

"""The committed results: reports are what the scripts print from the numbers, the page copies the reports."""

import re
import sys
from pathlib import Path

import pytest

from benchmarks.comparison import race
from benchmarks.comparison import report as comparison_report
from benchmarks.paper import report as paper_report
from benchmarks.real_data import defaults as real_data_defaults
from benchmarks.real_data import report as real_data_report

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"


def printed(module, monkeypatch, capsys, *words):
    monkeypatch.setattr(sys, "argv", [module.__name__, *words])
    module.main()
    return capsys.readouterr().out.rstrip()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "module", "words"),
    [
        *(
            (f"{run}/report.md", paper_report, ("--results", str(RESULTS / run)))
            for run in ("paper_synthetic", "paper_synthetic_truth", "paper_synthetic_batch32")
        ),
        ("comparison/reporting.md", comparison_report, ("--half", "reporting")),
        ("comparison/images.md", comparison_report, ("--images",)),
        ("real_data/report.md", real_data_report, ()),
        ("real_data/choosing.md", real_data_defaults, ("--half", "choosing")),
        ("real_data/reporting.md", real_data_defaults, ("--half", "reporting")),
        ("real_data/both.md", real_data_defaults, ("--half", "both")),
    ],
)
def test_a_report_is_what_its_script_prints(monkeypatch, capsys, file, module, words):
    assert printed(module, monkeypatch, capsys, *words) == (RESULTS / file).read_text().rstrip()


def test_the_races_table_is_what_its_script_prints(capsys):
    race.main([])
    printed_lines = capsys.readouterr().out.splitlines()
    lines = (RESULTS / "comparison" / "race.txt").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == printed_lines


@pytest.mark.parametrize("page", ["index", "tables", "paper"])
def test_every_row_of_a_page_of_results_stands_in_a_report(page):
    reports = "\n".join(file.read_text() for file in RESULTS.glob("*/*.md"))
    rows = [
        line for line in (ROOT / f"docs/results/{page}.md").read_text().splitlines() if line.startswith("|")
    ]
    known = set(reports.splitlines())
    assert len(rows) > 10
    assert not [row for row in rows if row not in known]


def test_every_number_of_the_readmes_table_stands_in_one_row_of_the_report():
    report = (RESULTS / "comparison" / "reporting.md").read_text().splitlines()
    readme = (ROOT / "README.md").read_text().split("```")[0]
    rows = [line for line in readme.splitlines() if line.startswith("|") and " %" in line]
    assert len(rows) > 5
    for row in rows:
        numbers = re.findall(r"[-+]?\d+\.\d+", row.split("|", 2)[2])
        assert [line for line in report if all(number in line for number in numbers)], row

"""Results on disk: one tidy CSV and its circumstances as JSON for each set, written seed by seed."""

import csv
import json
import platform
from datetime import date
from importlib.metadata import version
from pathlib import Path

__all__ = ["COLUMNS", "RESULTS", "Store", "read_rows"]

#: Where they are kept.
RESULTS = Path(__file__).parents[1] / "results" / "real_data"
COLUMNS = (
    "table",
    "seed",
    "method",
    "params",
    "accuracy",
    "cross_entropy",
    "brier",
    "ece",
    "cwece",
    "temperature",
    "seconds",
    "cv_cross_entropy",
)
_PACKAGES = ("numpy", "scikit-learn", "torch", "skorch")


class Store:
    """The results of one set of data, to which finished seeds are added; it can be opened again.

    Parameters
    ----------
    file : path
        The CSV; the JSON stands beside it.
    settings : dict
        What the numbers depend on; JSON types only. Results with other settings are not mixed.
    """

    def __init__(self, file, settings):
        self.file = Path(file)
        self.header = self.file.with_suffix(".json")
        self.settings = json.loads(json.dumps(settings))
        if self.header.exists():
            known = json.loads(self.header.read_text())["settings"]
            if known != self.settings:
                raise ValueError(
                    f"{self.file} holds results with the settings {known}, not {self.settings}: pass the "
                    "same ones, or another --results folder."
                )

    def seeds(self):
        """Return the seeds that are finished."""
        return {int(row["seed"]) for row in read_rows(self.file)} if self.file.exists() else set()

    def add(self, rows, command):
        """Append the rows of one seed, dictionaries by `COLUMNS`, and note by which command they came."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        header = {"settings": self.settings, "runs": []}
        if self.header.exists():
            header = json.loads(self.header.read_text())
        run = {"command": command, "date": date.today().isoformat(), "versions": versions()}
        if run not in header["runs"]:
            header["runs"].append(run)
        self.header.write_text(json.dumps(header, indent=1) + "\n")
        new = not self.file.exists()
        with self.file.open("a", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            if new:
                writer.writeheader()
            writer.writerows(map(shortened, rows))


def shortened(row):
    """Return a row with its numbers in six significant digits."""
    return {name: f"{value:.6g}" if isinstance(value, float) else value for name, value in row.items()}


def read_rows(file):
    """Return the rows of a CSV as dictionaries of strings."""
    with Path(file).open(newline="") as lines:
        return list(csv.DictReader(lines))


def versions():
    """Return what the numbers were computed with."""
    return {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}}

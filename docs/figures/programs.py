"""The programs of a page of the user guide, run for what they define and the figures they draw."""

import re
from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt

DOCS = Path(__file__).resolve().parents[1]
IMAGES = DOCS / "images"


def run(page: str, changes: dict[str, str] | None = None) -> dict[str, Any]:
    """Run the programs of ``docs/guide/<page>.md`` in their order, changed, and return their names."""
    mpl.use("agg")
    text = (DOCS / "guide" / f"{page}.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {"__name__": page}
    program = "\n".join(re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    for old, new in (changes or {}).items():
        assert old in program, f"the page has no {old!r} any more"
        program = program.replace(old, new)
    with TemporaryDirectory() as folder, chdir(folder):  # for files that a program writes
        exec(program, names)
    return names


def save_figure(number: int, name: str) -> None:
    """Write the figure with this number, counted from 1, to ``docs/images/<name>.png``."""
    plt.figure(number).savefig(IMAGES / f"{name}.png", dpi=80)

"""The programs of a page of the user guide, run to get the figure that their code draws."""

import re
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt

IMAGES = Path(__file__).resolve().parents[1] / "images"
GUIDE = Path(__file__).resolve().parents[1] / "guide"


def save_figures_of(page: str, **names: int) -> None:
    """Run a page's programs and write the figures with the given numbers into docs/images.

    Parameters
    ----------
    page : str
        Name of the page, without the ending.
    **names : int
        The number of a figure, counted from 1, by the name of its picture.
    """
    mpl.use("agg")
    text = (GUIDE / f"{page}.md").read_text(encoding="utf-8")
    programs = "\n".join(re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    exec(programs, {"__name__": page})
    for name, number in names.items():
        plt.figure(number).savefig(IMAGES / f"{name}.png", dpi=80)

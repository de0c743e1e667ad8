"""Reliability diagrams before and after temperature scaling: ``python docs/figures/why.py``."""

from programs import run, save_figure

if __name__ == "__main__":
    run("why")
    save_figure(1, "why")

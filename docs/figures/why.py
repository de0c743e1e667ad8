"""Reliability diagrams before and after temperature scaling: ``python docs/figures/why.py``."""

from programs import save_figures_of

if __name__ == "__main__":
    save_figures_of("why", why=1)

"""What weights do to a rare class, on three seeds of the data: ``python docs/figures/tables.py``."""

from programs import run

DATA = "flip_y=0.02,\n    random_state="

for seed in range(3):
    print(f"random_state={seed} in make_classification")
    run("tables", {f"{DATA}0": f"{DATA}{seed}"})

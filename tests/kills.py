"""Kill trainings at random moments, start them again, and compare what they come to.

    python tests/kills.py --kills 50

Runs a program that fits a student with its teacher, and an ensemble's search, in float64 on the CPU with
``checkpoint=``, each in a process of its own that gets SIGKILL after a random time, until it has come to its
end; then the same again in a new folder, until there were as many kills as asked for. Each end must have the
probabilities, bit for bit, of a run that nobody killed. Prints one line for each end.
"""

import argparse
import random
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

PROGRAM = """
import hashlib, sys, warnings
import numpy as np
from sklearn.datasets import load_digits
from sk_ils import InstanceSmoothedClassifier, SmoothingSearchCV

warnings.simplefilter("ignore")
X, y = load_digits(return_X_y=True)
folder = sys.argv[1] if len(sys.argv) > 1 else None
net = InstanceSmoothedClassifier(
    module__hidden_sizes=(32,), smoothing="ils", dtype="float64", max_epochs=40, random_state=0, device="cpu",
    checkpoint=folder,
)
grid = {"smoothing": ["none", "uniform", "ils"], "lr": [1e-3, 3e-3]}
proba = [net.fit(X[:500], y[:500]).predict_proba(X)]
proba.append(SmoothingSearchCV(net, grid, cv=3, ensemble=True).fit(X[:500], y[:500]).predict_proba(X))
print(hashlib.sha256(np.concatenate(proba).tobytes()).hexdigest())
"""


def run(script, folder=None, kill_after=None):
    """Return what the program prints, None if it was killed before its end."""
    command = [sys.executable, str(script), *([] if folder is None else [str(folder)])]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        printed, _ = process.communicate(timeout=kill_after)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return None
    if process.returncode:
        raise RuntimeError(f"The program ended with {process.returncode}.")
    return printed.strip()


def main():
    """Kill, compare, count."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    draw = random.Random(options.seed)
    n_kills = n_ends = n_equal = 0
    with TemporaryDirectory() as place:
        script = Path(place) / "program.py"
        script.write_text(PROGRAM)
        start = time.perf_counter()
        expected = run(script)
        whole = time.perf_counter() - start
        print(f"{whole:.1f} s without a checkpoint; digest {expected[:12]}", flush=True)
        while n_kills < options.kills:
            folder, own = Path(place) / f"run{n_ends}", 0
            # The start, with its imports, takes a part of the time: let every phase be hit.
            while (end := run(script, folder, kill_after=draw.uniform(0.2, 0.9) * whole)) is None:
                own += 1
            n_kills, n_ends, n_equal = n_kills + own, n_ends + 1, n_equal + (end == expected)
            print(f"killed {own:>3} times, then {'equal' if end == expected else 'DIFFERENT'}", flush=True)
    print(f"{n_kills} kills, {n_ends} ends, {n_equal} equal")
    return n_ends - n_equal


if __name__ == "__main__":
    sys.exit(main())

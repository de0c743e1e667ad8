"""How often the report's intervals and null levels hold what they should.

Ten classes; the labels are drawn from softmax(logits / temperature), the model states
softmax(logits). The true error is that of infinitely many rows in the same bins (here 2 million,
with the true probabilities in place of drawn labels).

    python -m benchmarks.paper.interval_coverage [number of draws, default 400]
"""

import sys

import numpy as np
from scipy.special import softmax

from sk_ils.metrics import calibration_report

N_CLASSES, SPREAD = 10, 2.0
# (rows, temperature): true ECE about 0, .035 and .114
SETTINGS = [(500, 1.0), (500, 1.11), (2000, 1.11), (2000, 1.42)]
LEVEL = 0.9


def logits(rng, n_samples):
    """Return standard normal logits times SPREAD."""
    return SPREAD * rng.standard_normal((n_samples, N_CLASSES))


def true_metrics(temperature):
    """Return the metrics of infinitely many rows."""
    z = logits(np.random.default_rng(0), 2_000_000)
    p, q = softmax(z, axis=1), softmax(z / temperature, axis=1)
    best = p.argmax(axis=1)[:, None]
    accuracy = np.take_along_axis(q, best, axis=1).ravel()
    confidence = np.take_along_axis(p, best, axis=1).ravel()
    return {
        "accuracy": accuracy.mean(),
        "cross_entropy": -(q * np.log(p)).sum(axis=1).mean(),
        "brier_score": ((p**2).sum(axis=1) - 2 * (p * q).sum(axis=1) + 1).mean(),
        "expected_calibration_error": binned_gap(confidence, accuracy),
        "classwise_calibration_error": np.mean([binned_gap(p[:, k], q[:, k]) for k in range(N_CLASSES)]),
    }


def binned_gap(stated, true):
    """Return the calibration error of the stated against the true probabilities."""
    index = np.ceil(stated * 15).astype(int)
    return np.abs(np.bincount(index, stated - true)).sum() / len(stated)


def main(n_draws=400):
    """Print the table."""
    print(f"share of {n_draws} draws whose {LEVEL:.0%} interval holds the true value;")
    print(f"in brackets: share within the {LEVEL:.0%} null level\n")
    for n_samples, temperature in SETTINGS:
        truth = true_metrics(temperature)
        held, within = dict.fromkeys(truth, 0), dict.fromkeys(truth, 0)
        for draw in range(n_draws):
            rng = np.random.default_rng(draw + 1)
            z = logits(rng, n_samples)
            q = softmax(z / temperature, axis=1)
            y = (rng.random((n_samples, 1)) > q.cumsum(axis=1)).sum(axis=1)
            report = calibration_report(
                y,
                softmax(z, axis=1),
                labels=range(N_CLASSES),
                confidence_level=LEVEL,
                random_state=draw,
            )
            for name, estimate in report.items():
                held[name] += estimate.low <= truth[name] <= estimate.high
                within[name] += estimate.null_high is not None and (estimate.value <= estimate.null_high)
        print(f"{n_samples} rows, true ECE {truth['expected_calibration_error']:.3f}")
        for name in truth:
            null = f"[{within[name] / n_draws:.3f}]" if name.endswith("error") else ""
            print(f"  {name:30} {truth[name]:8.4f}  {held[name] / n_draws:.3f}  {null}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

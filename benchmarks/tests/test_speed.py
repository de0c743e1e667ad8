"""The benchmarks of speed and memory: their own functions."""

import numpy as np
import pytest

from benchmarks.speed import large, scale
from benchmarks.speed.peaks import anonymous_bytes, sampled_peak

pytestmark = pytest.mark.skipif("not __import__('sys').platform.startswith('linux')")


def test_the_peak_is_that_of_the_block_also_after_memory_was_given_back():
    before = anonymous_bytes()
    with sampled_peak() as peak:
        held = np.ones(2**24)
        peak.look()
        del held
    assert peak.bytes > before + 0.9 * 8 * 2**24
    assert anonymous_bytes() < peak.bytes


def test_the_rows_on_disk_are_a_dataset_that_can_be_learned(tmp_path):
    large.write_rows(tmp_path, 3000)
    rows = large.MappedRows(tmp_path)
    assert len(rows) == 3000
    x, label = rows[7]
    assert x.shape == (large.N_FEATURES,)
    assert x.dtype == np.float32
    assert label == rows.targets[7]
    assert set(rows.targets) == set(range(large.N_CLASSES))
    base, peak, seconds, accuracies = large.fit(tmp_path)
    assert peak >= base > 0
    assert seconds > 0
    assert len(accuracies) == 2


def test_the_formula_of_a_large_fit_counts_targets_and_bytes_a_row():
    some, more = (large.predicted_bytes(n, base=10**8) for n in (10**6, 2 * 10**6))
    assert more - some == 10**6 * (0.8 * 4 * large.N_CLASSES + large.BYTES_A_ROW)


def test_an_exponent_is_the_slope_of_the_logarithms():
    sizes = np.array([1, 10, 100, 1000])
    assert scale.exponent(sizes, 3 * sizes**1.5) == pytest.approx(1.5)
    cases = [scale.Case(n, 3, 20) for n in (10, 100, 1000)]
    assert scale.growth(cases, "rows", [1.0, 1.0, 10.0]) == "0.50 1.00"


def test_a_case_is_measured_beside_its_formula():
    case = scale.Case(400, 3, 20)
    found = scale.run(case)
    assert found.fit_seconds > found.predict_seconds > 0
    assert min(found.fit_bytes, found.predict_bytes) >= 0
    assert scale.predict_formula(case) == 8 * 400 * 3
    assert scale.fit_formula(case) > scale.predict_formula(case)

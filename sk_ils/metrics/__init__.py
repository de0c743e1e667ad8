"""Calibration errors for scikit-learn: NumPy in, numbers out, no torch."""

from sk_ils.metrics._errors import classwise_calibration_error, expected_calibration_error

__all__ = [
    "classwise_calibration_error",
    "expected_calibration_error",
]

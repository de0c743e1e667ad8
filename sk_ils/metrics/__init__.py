"""Calibration errors for scikit-learn: NumPy in, numbers out, no torch."""

from sk_ils.metrics._errors import classwise_calibration_error, expected_calibration_error
from sk_ils.metrics._estimates import CalibrationReport, Estimate
from sk_ils.metrics._report import calibration_report
from sk_ils.metrics._scorers import (
    CalibrationScorer,
    calibration_scoring,
    neg_classwise_calibration_error_scorer,
    neg_expected_calibration_error_scorer,
)

__all__ = [
    "CalibrationReport",
    "CalibrationScorer",
    "Estimate",
    "calibration_report",
    "calibration_scoring",
    "classwise_calibration_error",
    "expected_calibration_error",
    "neg_classwise_calibration_error_scorer",
    "neg_expected_calibration_error_scorer",
]

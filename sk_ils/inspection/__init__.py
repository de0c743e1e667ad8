"""Displays of calibration and of smoothing rules; matplotlib is loaded when something is drawn."""

from sk_ils.inspection._curves import ReliabilityCurve
from sk_ils.inspection._reliability import ReliabilityDisplay
from sk_ils.inspection._smoothing_curve import SmoothingCurveDisplay

__all__ = ["ReliabilityCurve", "ReliabilityDisplay", "SmoothingCurveDisplay"]

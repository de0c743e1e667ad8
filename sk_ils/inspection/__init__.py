"""Displays of calibration, searches and smoothing rules; drawing them loads matplotlib."""

from sk_ils.inspection._curves import ReliabilityCurve
from sk_ils.inspection._reliability import ReliabilityDisplay
from sk_ils.inspection._search import SearchDisplay
from sk_ils.inspection._search_cells import SearchCell
from sk_ils.inspection._smoothing_curve import SmoothingCurveDisplay
from sk_ils.inspection._training import TrainingCurve, TrainingDisplay

__all__ = [
    "ReliabilityCurve",
    "ReliabilityDisplay",
    "SearchCell",
    "SearchDisplay",
    "SmoothingCurveDisplay",
    "TrainingCurve",
    "TrainingDisplay",
]

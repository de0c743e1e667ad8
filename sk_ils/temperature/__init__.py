"""Temperature scaling: of logits, and of any classifier; no torch."""

from sk_ils.temperature._classifier import TemperatureScaledClassifier
from sk_ils.temperature._scaling import fit_temperature, log_softmax, softmax

__all__ = ["TemperatureScaledClassifier", "fit_temperature", "log_softmax", "softmax"]

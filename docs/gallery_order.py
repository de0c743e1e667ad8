"""The order of the gallery: from a first look to what few need."""

_ORDER = (
    *("quickstart", "reliability_models", "calibration_displays", "table", "imbalanced", "costs"),
    *("search", "ensemble", "many_classes", "gradient_boosting_teacher", "own_rule"),
    *("convolutional", "text", "synthetic_truth", "onnx"),
)


class GalleryOrder:
    """A sphinx-gallery sort key; an example that is not named here comes last."""

    def __init__(self, folder):
        pass

    def __call__(self, filename):
        """Return the place of an example."""
        name = filename.removeprefix("plot_").removesuffix(".py")
        return _ORDER.index(name) if name in _ORDER else len(_ORDER)

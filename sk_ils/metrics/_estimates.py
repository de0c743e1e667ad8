"""What a calibration report holds, and how it is shown: as text, HTML, DataFrames and LaTeX."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from html import escape
from numbers import Integral
from typing import TYPE_CHECKING, Any

from sk_ils._sklearn_compat import Interval, validate_parameter_constraints

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CalibrationReport", "Estimate", "difference_name"]

# Measured by benchmarks/paper/interval_coverage.py.
_CAVEAT = (
    "* The range of the bootstrap, not a confidence interval: it is too high. At a nominal 90 % it\n"
    "  contained the true ECE in 0 % (ECE 0, 500 samples), 49 % (.035, 2000 samples) and 91 % (.115,\n"
    "  2000 samples) of draws, the true class-wise error in 0 %. Compare the value with its null level."
)
_LEGEND = (
    "null level: median and {level:g} % quantile of the error that these probabilities would show\n"
    "  if they were perfectly calibrated. debiased: the squared l2 error minus its bias.\n"
    "range: the bootstrap's percentiles; without a star they may be read as a confidence interval."
)
# For a heading of a table; a metric without one keeps its name.
_SHORT_NAMES = {
    "accuracy": "Accuracy",
    "cross_entropy": "Cross-entropy",
    "brier_score": "Brier score",
    "expected_calibration_error": "ECE",
    "classwise_calibration_error": "Class-wise ECE",
}
_LATEX_ESCAPES = str.maketrans(
    {
        **{character: f"\\{character}" for character in "&%$#_{}"},
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
    }
)
_LATEX_NOTES = r"""% Needs \usepackage{{booktabs}}.
% Null level: median and {level:g} % quantile of the error that a perfectly calibrated model with these
% probabilities would show. An error within it is no evidence of miscalibration.
"""
_LATEX_DIFFERENCE_NOTES = r"""% Interval: of the paired difference, by the bootstrap.
% Its range of calibration errors is no interval.
"""


@dataclass(frozen=True)
class Estimate:
    """A metric and its uncertainty.

    Parameters
    ----------
    value : float
        The metric, or the difference of two models' metrics.
    low, high : float
        The ends of the bootstrap: its percentiles at (1 - `confidence_level`) / 2 from both sides.
    nominal_coverage : bool
        Whether the ends may be read as a confidence interval. False for calibration errors and
        their differences, whose ends are a range only.
    null_median, null_high : float or None, default=None
        The 0.5 and the `confidence_level` quantile of the value that a perfectly calibrated model
        with these probabilities would show. None for metrics without such a level.
    debiased_square : float or None, default=None
        The debiased squared l2 error. None for metrics that are no calibration error.

    Examples
    --------
    >>> from sk_ils.metrics import calibration_report
    >>> y_true, y_proba = [0, 1, 1, 0] * 50, [0.1, 0.9, 0.6, 0.3] * 50
    >>> report = calibration_report(y_true, y_proba, random_state=0)
    >>> error = report["expected_calibration_error"]
    >>> round(error.value, 3), error.value > error.null_high, error.nominal_coverage
    (0.225, True, False)
    """

    value: float
    low: float
    high: float
    nominal_coverage: bool
    null_median: float | None = None
    null_high: float | None = None
    debiased_square: float | None = None


def difference_name(model: str, other: str) -> str:
    """Return the key of the difference of two models."""
    return f"{model} - {other}"


class CalibrationReport(Mapping[str, Any]):
    """Metrics with their uncertainty, as a mapping.

    For one model it maps names of metrics to `Estimate`. For several models it maps their names to
    such mappings, and names like "b - a" to the differences of two models.

    Made by :func:`calibration_report`.

    Parameters
    ----------
    models : dict of str -> dict of str -> Estimate
        The estimates by model and metric. The key "" alone stands for one model without a name.
    differences : dict of (str, str) -> dict of str -> Estimate
        The paired differences by the names of both models (the first minus the second) and metric.
    title : str
        First line of the representation.
    confidence_level : float
        Level of the intervals and of the null level, in (0, 1).
    baseline : str, default=None
        The model that the others are compared with. None if each two models are compared.

    Examples
    --------
    >>> from sk_ils.metrics import calibration_report
    >>> y_true, sure, unsure = [0, 1, 1, 0] * 50, [0.1, 0.9, 0.6, 0.3] * 50, [0.5] * 200
    >>> report = calibration_report(
    ...     y_true, {"sure": sure, "unsure": unsure}, baseline="unsure", random_state=0
    ... )
    >>> list(report)
    ['sure', 'unsure', 'sure - unsure']
    >>> round(report["sure - unsure"]["brier_score"].value, 3)
    -0.365
    >>> report.table()["value"]["cross_entropy"].round(3).to_dict()
    {'sure': 0.27, 'unsure': 0.693}
    """

    def __init__(
        self,
        models: dict[str, dict[str, Estimate]],
        differences: dict[tuple[str, str], dict[str, Estimate]],
        *,
        title: str,
        confidence_level: float,
        baseline: str | None = None,
    ) -> None:
        self._models = models
        self._differences = differences
        self._title = title
        self.confidence_level = confidence_level
        self.baseline = baseline
        self._tables = models | {difference_name(*pair): table for pair, table in differences.items()}

    def _content(self) -> dict[str, Any]:
        return self._tables.get("", self._tables)

    def __getitem__(self, key: str) -> Any:
        return self._content()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._content())

    def __len__(self) -> int:
        return len(self._content())

    def frame(self) -> "pd.DataFrame":
        """Return the estimates as a DataFrame.

        Returns
        -------
        pandas.DataFrame
            A row for each metric, or for each (model, metric), and a column for each attribute of
            `Estimate`; NaN stands for None.
        """
        import pandas as pd

        rows = {
            (model, metric): asdict(estimate)
            for model, table in self._tables.items()
            for metric, estimate in table.items()
        }
        frame = pd.DataFrame.from_dict(rows, orient="index")
        frame.index = pd.MultiIndex.from_tuples(rows, names=["model", "metric"])
        numbers = [name for name in frame.columns if name != "nominal_coverage"]
        frame = frame.astype(dict.fromkeys(numbers, float))
        return frame.droplevel("model") if "" in self._tables else frame

    def table(self) -> "pd.DataFrame":
        """Return the metrics with a row for each model.

        Returns
        -------
        pandas.DataFrame
            The columns are pairs (number, metric), so that ``table()["value"]`` has a column
            for each metric. The numbers are "null_median" and "null_high" of the calibration
            errors, then "value" and, with a `baseline`, "difference" from it with "difference_low"
            and "difference_high", its interval. These two are there only for the metrics whose
            interval has its nominal coverage: the bootstrap's ranges of calibration errors are in
            `frame()`. The baseline's differences are NaN. A model without a name is called "model".
        """
        import pandas as pd

        columns: dict[tuple[str, str], dict[str, float]] = {}
        for number in ("null_median", "null_high", "value"):
            for model, table in self._models.items():
                for metric, estimate in table.items():
                    if getattr(estimate, number) is not None:
                        columns.setdefault((number, metric), {})[model] = getattr(estimate, number)
        for number, attribute in {"": "value", "_low": "low", "_high": "high"}.items():
            for model, table in self._from_baseline().items():
                for metric, estimate in table.items():
                    if attribute == "value" or estimate.nominal_coverage:
                        column = columns.setdefault((f"difference{number}", metric), {})
                        column[model] = getattr(estimate, attribute)
        frame = pd.DataFrame(columns, index=pd.Index(self._models, dtype=object), dtype=float)
        frame.columns.names = ["number", "metric"]
        return frame.rename(index={"": "model"}).rename_axis(index="model")

    def to_latex(self, *, decimals: int = 4, caption: str | None = None, label: str | None = None) -> str:
        r"""Return the metrics of each model as a LaTeX table.

        No figure is bold. The highest number need not be a better one, the differences to a
        `baseline` say nothing of two other models, and a calibration error has no interval that
        could tell which model is ahead. The intervals of the differences are in the table instead.

        Parameters
        ----------
        decimals : int, default=4
            Digits behind the decimal point, 0 to 15.
        caption, label : str, default=None
            LaTeX, taken as it is. With one of them, the tabular stands in a ``table`` environment.

        Returns
        -------
        str
            A tabular with a line for each model. The columns are the null levels of the calibration
            errors, median and `confidence_level` quantile, then all metrics. With a `baseline`, the
            difference from it and its interval stand below each other model, for calibration errors
            the difference alone, since the bootstrap's range is no interval for them. It needs the
            LaTeX package booktabs; neither pandas nor Jinja2 is needed here.
        """
        options = {"decimals": decimals, "caption": caption, "label": label}
        validate_parameter_constraints(
            {
                "decimals": [Interval(Integral, 0, 15, closed="both")],
                "caption": [str, None],
                "label": [str, None],
            },
            options,
            caller_name="to_latex",
        )
        table = "\n".join(
            [*self._latex_head(), *self._latex_body(decimals), r"\bottomrule", r"\end{tabular}"]
        )
        if caption is not None or label is not None:
            above = [r"\begin{table}", r"\centering"]
            above += [] if caption is None else [rf"\caption{{{caption}}}"]
            above += [] if label is None else [rf"\label{{{label}}}"]
            table = "\n".join([*above, table, r"\end{table}"])
        notes = _LATEX_NOTES + (_LATEX_DIFFERENCE_NOTES if self._from_baseline() else "")
        return notes.format(level=100 * self.confidence_level) + table + "\n"

    def _from_baseline(self) -> dict[str, dict[str, Estimate]]:
        """Return the differences from the baseline by model; none without a baseline."""
        return {a: table for (a, b), table in self._differences.items() if b == self.baseline}

    def _latex_head(self) -> list[str]:
        metrics = next(iter(self._models.values()))
        with_null = [name for name, estimate in metrics.items() if estimate.null_high is not None]
        names = [_SHORT_NAMES.get(name, name).translate(_LATEX_ESCAPES) for name in (*with_null, *metrics)]
        return [
            rf"\begin{{tabular}}{{l{'r' * len(names)}}}",
            r"\toprule",
            rf" & \multicolumn{{{len(with_null)}}}{{c}}{{Null level}}" + " &" * len(metrics) + r" \\",
            rf"\cmidrule(lr){{2-{len(with_null) + 1}}}",
            " & ".join(["", *names]) + r" \\",
            r"\midrule",
        ]

    def _latex_body(self, decimals: int) -> list[str]:
        lines = []
        level = rf"\quad {100 * self.confidence_level:g}\,\% interval"
        for model, table in self._models.items():
            nulls = [
                f"{estimate.null_median:.{decimals}f}--{estimate.null_high:.{decimals}f}"
                for estimate in table.values()
                if estimate.null_high is not None
            ]
            values = [f"{estimate.value:.{decimals}f}" for estimate in table.values()]
            lines.append([(model or "model").translate(_LATEX_ESCAPES), *nulls, *values])
            if model in (differences := self._from_baseline()):
                empty = [""] * len(nulls)
                estimates = differences[model].values()
                name = rf"\quad minus {str(self.baseline).translate(_LATEX_ESCAPES)}"
                lines.append([name, *empty, *(f"${e.value:+.{decimals}f}$" for e in estimates)])
                # In braces: a bracket behind a line's end would be taken for its argument.
                intervals = (
                    f"{{[${e.low:+.{decimals}f}$, ${e.high:+.{decimals}f}$]}}" if e.nominal_coverage else ""
                    for e in estimates
                )
                lines.append([level, *empty, *intervals])
        return [" & ".join(cells) + r" \\" for cells in lines]

    def _rows(self) -> list[list[str]]:
        """Return the cells of the text's table, the header first."""
        rows = [["", "null level", "value", f"{100 * self.confidence_level:g} % range", "debiased"]]
        for model, table in self._tables.items():
            if model:
                rows.append([f"{model} (baseline)" if model == self.baseline else model, "", "", "", ""])
            rows += [_cells(metric, estimate) for metric, estimate in table.items()]
        return rows

    def _notes(self) -> list[str]:
        return [_LEGEND.format(level=100 * self.confidence_level), _CAVEAT]

    def __repr__(self) -> str:
        rows = self._rows()
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = []
        for name, *cells in rows:
            # The name of a model stands alone, above its metrics.
            indent = "  " if any(cells) and "" not in self._tables else ""
            padded = [cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)]
            lines.append("  ".join([(indent + name).ljust(widths[0] + 2), *padded]).rstrip())
        return "\n".join([self._title, "", *lines, "", *self._notes()])

    def _repr_html_(self) -> str:
        header, *rows = ([escape(cell) for cell in row] for row in self._rows())
        body = "".join(
            f"<tr><th style='text-align: left'>{name}</th>"
            + "".join(f"<td style='text-align: right'>{cell}</td>" for cell in cells)
            + "</tr>"
            for name, *cells in rows
        )
        head = "".join(f"<th>{cell}</th>" for cell in header)
        notes = "".join(f"<p><small>{escape(note)}</small></p>" for note in self._notes())
        return (
            f"<table><caption>{escape(self._title)}</caption><thead><tr>{head}</tr></thead>"
            f"<tbody>{body}</tbody></table>{notes}"
        )


def _cells(metric: str, estimate: Estimate) -> list[str]:
    mark = " " if estimate.nominal_coverage else "*"
    null = debiased = ""
    if estimate.null_median is not None and estimate.null_high is not None:
        null = f"{_short(estimate.null_median)} to {_short(estimate.null_high)}"
    if estimate.debiased_square is not None:
        debiased = _short(estimate.debiased_square)
    ends = f"[{_short(estimate.low)}, {_short(estimate.high)}]{mark}"
    return [metric, null, _short(estimate.value), ends, debiased]


def _short(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1e-3 else f"{value:#.4g}"

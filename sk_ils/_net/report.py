"""What a fit says of itself, in numbers."""

from dataclasses import dataclass

__all__ = ["FitReport"]


@dataclass(frozen=True, repr=False)
class FitReport:
    """Rows, epochs, temperatures and seconds of a fit.

    Parameters
    ----------
    n_train, n_held_out : int
        Rows that were trained on, and those of the hold-out.
    n_iter : int
        Epochs of the network, or of the student: all since it was built.
    best_epoch : int
        Which of them was kept, counted from 1.
    temperature : float
        Its `temperature_`.
    fit_time : float or None
        Seconds of its training in the last call. None for a candidate that a search trained
        together with others, which has no time of its own.
    teacher_n_iter, teacher_best_epoch : int or None, default=None
        Those of the teacher, if it is a network of this package that was fitted here.
    teacher_temperature : float or None, default=None
        T_cal, None without a teacher.
    teacher_fit_time : float or None, default=None
        Seconds until the teacher was fitted, or taken from `memory`, and asked about all rows. None
        without a teacher, and for a candidate of a search, whose teacher is another's, too.

    See Also
    --------
    sk_ils.inspection.TrainingDisplay : Draws the losses of the epochs.

    Examples
    --------
    >>> from sk_ils.classifiers import FitReport
    >>> FitReport(
    ...     n_train=120, n_held_out=30,
    ...     teacher_n_iter=61, teacher_best_epoch=41,
    ...     teacher_temperature=1.27, teacher_fit_time=0.38,
    ...     n_iter=44, best_epoch=24, temperature=1.13, fit_time=0.216,
    ... )
    FitReport: trained on 120 rows, 30 held out
                  teacher   student
    epochs             61        44
    best epoch         41        24
    temperature      1.27      1.13
    seconds          0.38     0.216
    """

    n_train: int
    n_held_out: int
    n_iter: int
    best_epoch: int
    temperature: float
    fit_time: float | None
    teacher_n_iter: int | None = None
    teacher_best_epoch: int | None = None
    teacher_temperature: float | None = None
    teacher_fit_time: float | None = None

    def __repr__(self) -> str:
        own = (self.n_iter, self.best_epoch, self.temperature, self.fit_time)
        columns: dict[str, tuple[float | None, ...]] = {"network": own}
        if self.teacher_temperature is not None:
            teacher = (
                self.teacher_n_iter,
                self.teacher_best_epoch,
                self.teacher_temperature,
                self.teacher_fit_time,
            )
            columns = {"teacher": teacher, "student": own}
        lines = [
            f"FitReport: trained on {self.n_train} rows, {self.n_held_out} held out",
            _line("", list(columns)),
        ]
        names = ("epochs", "best epoch", "temperature", "seconds")
        for name, *cells in zip(names, *columns.values(), strict=True):
            lines.append(_line(name, [_number(cell) for cell in cells]))
        return "\n".join(lines)


def _line(name: str, cells: list[str]) -> str:
    return f"{name:<11}" + "".join(f"{cell:>10}" for cell in cells)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)

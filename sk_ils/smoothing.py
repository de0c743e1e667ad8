r"""Smoothing rules: (labels, logits) -> soft targets; no training, no data handling.

A rule (:class:`Rule`) is a small object that holds hyper-parameters and calls pure functions of
this module. It decides for each sample how much probability leaves the true class (the *smoothing
factor*) and onto which classes it goes. In every instance-based rule the target is

.. math:: q_k = (1 - \epsilon_i) 1[k = t] + \epsilon_i s_k 1[k \ne t],

with the true class ``t``, the sample's smoothing factor ``epsilon_i`` and a distribution ``s`` over
the wrong classes that sums to 1, so that the true class keeps exactly ``1 - epsilon_i``.

The logits that a rule receives are the teacher's logits divided by the teacher's own temperature
``T_cal`` (see :class:`sk_ils.InstanceSmoothedClassifier`), so that a rule's parameters mean the
same for any teacher. One rule, :class:`SoftBootstrap`, reads the student's own raw logits instead.

In the formulas below, ``z`` are the logits of a sample, ``p`` its probabilities, ``T`` is a
temperature, ``K`` the number of classes and ``k`` runs over the classes.

References
----------
.. [1] M. Maher and M. Kull, "Instance-based Label Smoothing For Better Calibrated Classification
   Networks", ICMLA 2021, arXiv:2110.05355.
.. [2] C. Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", CVPR 2016,
   section 7.
.. [3] G. Hinton, O. Vinyals and J. Dean, "Distilling the Knowledge in a Neural Network", 2015,
   arXiv:1503.02531.
.. [4] T. Furlanello et al., "Born-Again Neural Networks", ICML 2018, arXiv:1805.04770.
.. [5] S. Reed et al., "Training Deep Neural Networks on Noisy Labels with Bootstrapping", 2014,
   arXiv:1412.6596.
"""

from __future__ import annotations  # help() shows types by their names

from abc import abstractmethod
from collections.abc import Callable
from difflib import get_close_matches
from numbers import Real
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, clone
from torch import Tensor

from sk_ils._probabilities import as_numbers, as_numpy
from sk_ils._sklearn_compat import (
    DocLinkMixin,
    Interval,
    InvalidParameterError,
    check_sample_weight,
    validate_parameter_constraints,
)

__all__ = [
    "ILS",
    "ILS1",
    "ILS2",
    "ClassSmoothing",
    "NoSmoothing",
    "Rule",
    "SelfDistillation",
    "SmoothingRule",
    "SoftBootstrap",
    "UniformSmoothing",
    "mixed_targets",
    "quadratic_smoothing_factor",
    "resolve_rule",
    "smoothed_targets",
    "true_class_probability",
    "wrong_class_share",
]


def true_class_probability(logits: Tensor, y: Tensor) -> Tensor:
    """Return softmax(logits) at the true class.

    Parameters
    ----------
    logits : Tensor of shape (n_samples, n_classes)
        A network's raw outputs.
    y : int64 Tensor of shape (n_samples,)
        True classes, as indices from 0 to n_classes - 1.

    Returns
    -------
    Tensor of shape (n_samples,)
        Probabilities in [0, 1].

    Examples
    --------
    >>> import torch
    >>> from sk_ils.smoothing import true_class_probability
    >>> logits = torch.log(torch.tensor([[0.6, 0.3, 0.1]]))
    >>> true_class_probability(logits, torch.tensor([1]))
    tensor([0.3000])
    """
    return torch.softmax(logits, dim=1).gather(1, y[:, None]).squeeze(1)


def quadratic_smoothing_factor(
    true_class_proba: Tensor, *, shift: float, curvature: float, max_epsilon: float
) -> Tensor:
    r"""Return the smoothing factor of ILS1 and ILS, a two-sided clipped quadratic.

    .. math:: \epsilon_i = \min(P_2 (p_t - P_1)^2, \epsilon_{max})

    This is Eq. 3 of Maher and Kull (ICMLA 2021), *reconstructed* from the paper's appendix: P1
    = 0.81 and P2 = 2.1 with an upper limit of 0.2 fit its Fig. 6. The paper's body gives neither
    the limit nor its value.

    Parameters
    ----------
    true_class_proba : Tensor
        The teacher's probability of the true class, p_t, in [0, 1].
    shift : float
        P1, the true-class probability that is not smoothed, in [0, 1].
    curvature : float
        P2, coefficient of the quadratic term, in [0, inf).
    max_epsilon : float
        Largest smoothing factor, in [0, 1).

    Returns
    -------
    Tensor
        Smoothing factors in [0, max_epsilon], of the same shape as `true_class_proba`.

    Examples
    --------
    >>> import torch
    >>> from sk_ils.smoothing import quadratic_smoothing_factor
    >>> proba = torch.tensor([0.25, 0.75, 1.0])
    >>> quadratic_smoothing_factor(proba, shift=0.75, curvature=2.0, max_epsilon=0.2)
    tensor([0.2000, 0.0000, 0.1250])
    """
    curvature = _representable(curvature, true_class_proba) if curvature else 0.0
    return (curvature * (true_class_proba - shift) ** 2).clamp(max=max_epsilon)


def _representable(value: float, tensor: Tensor) -> float:
    """Return a positive number that is neither 0 nor infinite in a tensor's type.

    In float32, 1e-300 would be 0, and 1e39 infinite.
    """
    limits = torch.finfo(tensor.dtype)
    return min(max(value, limits.tiny), limits.max)


def wrong_class_share(logits: Tensor, y: Tensor, *, temperature: float = 1.0) -> Tensor:
    r"""Return the softmax of logits / temperature over the wrong classes only.

    At temperature 1 it equals :math:`p_k / (1 - p_t)`, the form of ILS2 and ILS in Maher and Kull
    (ICMLA 2021). The true class is masked out before the softmax, so that a teacher that is certain
    of the true class does not lead to 0 / 0.

    Parameters
    ----------
    logits : Tensor of shape (n_samples, n_classes)
        The teacher's logits.
    y : int64 Tensor of shape (n_samples,)
        True classes, as indices from 0 to n_classes - 1.
    temperature : float, default=1.0
        In (0, inf). Large values approach the uniform share 1 / (n_classes - 1).

    Returns
    -------
    Tensor of shape (n_samples, n_classes)
        Rows sum to 1; exactly 0 at the true class.

    Examples
    --------
    >>> import torch
    >>> from sk_ils.smoothing import wrong_class_share
    >>> logits = torch.log(torch.tensor([[0.6, 0.3, 0.1]]))
    >>> wrong_class_share(logits, torch.tensor([0]))
    tensor([[0.0000, 0.7500, 0.2500]])
    """
    wrong = logits.scatter(1, y[:, None], -torch.inf)
    # Shift before the division: the largest entry becomes 0, which overflows at no temperature.
    wrong = wrong - wrong.amax(dim=1, keepdim=True)
    return torch.softmax(wrong / _representable(temperature, wrong), dim=1)


def smoothed_targets(y: Tensor, smoothing_factor: Tensor, share: Tensor) -> Tensor:
    """Return targets that move ``smoothing_factor`` from the true class onto the wrong classes.

    Parameters
    ----------
    y : int64 Tensor of shape (n_samples,)
        True classes, as indices from 0 to n_classes - 1.
    smoothing_factor : Tensor of shape (n_samples,)
        epsilon_i, the probability that leaves the true class, in [0, 1).
    share : Tensor of shape (n_samples, n_classes)
        How that probability is divided among the classes. Rows sum to 1; 0 at the true class.

    Returns
    -------
    Tensor of shape (n_samples, n_classes)
        Rows sum to 1.

    Examples
    --------
    >>> import torch
    >>> from sk_ils.smoothing import smoothed_targets
    >>> share = torch.tensor([[0.0, 0.75, 0.25]])
    >>> smoothed_targets(torch.tensor([0]), torch.tensor([0.2]), share)
    tensor([[0.8000, 0.1500, 0.0500]])
    """
    targets = smoothing_factor[:, None] * share
    return targets.scatter(1, y[:, None], (1 - smoothing_factor)[:, None])


def mixed_targets(y: Tensor, logits: Tensor, *, weight: float, temperature: float = 1.0) -> Tensor:
    r"""Return one-hot labels mixed with a network's output.

    .. math:: q_k = (1 - w) 1[k = t] + w \, \mathrm{softmax}(z / T)_k

    Parameters
    ----------
    y : int64 Tensor of shape (n_samples,)
        True classes, as indices from 0 to n_classes - 1.
    logits : Tensor of shape (n_samples, n_classes)
        z; gradients flow through it.
    weight : float
        w, the weight of the output in the mixture, in [0, 1].
    temperature : float, default=1.0
        T, in (0, inf).

    Returns
    -------
    Tensor of shape (n_samples, n_classes)
        Rows sum to 1.

    Examples
    --------
    >>> import torch
    >>> from sk_ils.smoothing import mixed_targets
    >>> logits = torch.log(torch.tensor([[0.6, 0.3, 0.1]]))
    >>> mixed_targets(torch.tensor([0]), logits, weight=0.5)
    tensor([[0.8000, 0.1500, 0.0500]])
    """
    shifted = logits - logits.amax(dim=1, keepdim=True).detach()  # as in wrong_class_share
    output = torch.softmax(shifted / _representable(temperature, shifted), dim=1)
    return weight * output + (1 - weight) * torch.zeros_like(output).scatter(1, y[:, None], 1.0)


def _uniform_share(logits: Tensor, y: Tensor) -> Tensor:
    share = torch.full_like(logits, 1 / (logits.shape[1] - 1))
    return share.scatter(1, y[:, None], 0.0)


class Rule(Protocol):
    """What a smoothing rule must have; a user's own rule needs nothing else, and no base class.

    Three things are optional. A rule whose attribute ``needs_student`` is True reads the student's
    logits in every batch instead of the teacher's. The targets of a rule whose attribute
    ``needs_all_rows`` is True are no function of one row: it is asked once for all training rows,
    gets their weights, if `fit` had any, as the keyword ``sample_weight`` of `targets`, and is
    refused where only some rows are there (``teacher_mode="online"``, ``partial_fit``). Without
    the attributes a rule does neither. And ``get_params`` and ``set_params`` make
    ``smoothing__...`` parameters work: inherit from :class:`~sklearn.base.BaseEstimator` for them.
    An object without them is copied by :func:`copy.deepcopy` in each fit.

    See Also
    --------
    SmoothingRule : Base class of this module's rules, which are written in torch.

    Examples
    --------
    A rule that gives every wrong class the same probability:

    >>> class Uniform:
    ...     needs_teacher = False
    ...
    ...     def targets(self, y, teacher_logits, student_logits=None):
    ...         logits = student_logits if teacher_logits is None else teacher_logits
    ...         targets = np.full(logits.shape, 0.1 / (logits.shape[1] - 1))
    ...         targets[np.arange(len(y)), y] = 0.9
    ...         return targets
    ...
    ...     def smoothing_factor(self, true_class_proba):
    ...         return np.full(np.shape(true_class_proba), 0.1)
    >>> from sklearn.datasets import load_iris
    >>> from sk_ils import InstanceSmoothedClassifier
    >>> clf = InstanceSmoothedClassifier(smoothing=Uniform(), max_epochs=2)
    >>> clf.fit(*load_iris(return_X_y=True)).teacher_ is None
    True
    """

    @property
    def needs_teacher(self) -> bool:
        """Whether the rule reads the teacher's logits; if not, no teacher is fitted for it."""

    def targets(
        self,
        y: NDArray[np.int64],
        teacher_logits: NDArray[np.floating] | None,
        student_logits: NDArray[np.floating] | None = None,
    ) -> NDArray[np.floating]:
        """Return the soft target of each sample.

        The two arrays of logits may be passed by keyword.

        Parameters
        ----------
        y : ndarray of shape (n_samples,)
            True classes, as indices from 0 to n_classes - 1.
        teacher_logits : ndarray of shape (n_samples, n_classes) or None
            The teacher's logits, divided by its temperature; None if the rule needs no teacher.
        student_logits : ndarray of shape (n_samples, n_classes), default=None
            The student's own raw logits, if the rule needs the student. A rule that needs neither
            gets an array here whose values mean nothing, for its shape and type.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Rows are probability vectors.
        """

    def smoothing_factor(self, true_class_proba: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return the smoothing factor for given probabilities of the true class.

        Training does not ask for it; :class:`sk_ils.inspection.SmoothingCurveDisplay` draws it.

        Parameters
        ----------
        true_class_proba : ndarray
            Probabilities p_t in [0, 1], the teacher's, or the student's if the rule needs the
            student.

        Returns
        -------
        ndarray
            Smoothing factors epsilon_i in [0, 1], of the same shape.
        """


class SmoothingRule(DocLinkMixin, BaseEstimator):  # type: ignore[misc, unused-ignore]  # scikit-learn has no types
    """Base of this module's rules: checks, and NumPy in and out round one pure torch function.

    A user's own rule need not inherit from it: see :class:`Rule`.

    Examples
    --------
    Constant smoothing, as :class:`UniformSmoothing` has it:

    >>> import torch
    >>> from sk_ils.smoothing import SmoothingRule, smoothed_targets
    >>> class Constant(SmoothingRule):
    ...     needs_teacher = False
    ...
    ...     def __init__(self, epsilon=0.1):
    ...         self.epsilon = epsilon
    ...
    ...     def torch_targets(self, y, logits):
    ...         share = torch.full_like(logits, 1 / (logits.shape[1] - 1))
    ...         share.scatter_(1, y[:, None], 0.0)
    ...         return smoothed_targets(y, logits.new_full((len(y),), self.epsilon), share)
    ...
    ...     def _smoothing_factor(self, true_class_proba):
    ...         return torch.full_like(true_class_proba, self.epsilon)
    >>> Constant(epsilon=0.2).targets([0], [[3.0, 1.0, 0.0]]).round(2)
    array([[0.8, 0.1, 0.1]])
    """

    #: Whether the rule reads the teacher's logits; if not, no teacher is fitted.
    needs_teacher: ClassVar[bool] = True
    #: Whether the rule reads the student's logits instead, and so is called in every batch.
    needs_student: ClassVar[bool] = False
    #: Whether a row's target depends on other rows, so that the rule must see all of them at once.
    needs_all_rows: ClassVar[bool] = False
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {}

    @abstractmethod
    def torch_targets(self, y: Tensor, logits: Tensor) -> Tensor:
        """Return the soft target of each sample, without checking the input.

        Parameters
        ----------
        y : int64 Tensor of shape (n_samples,)
            True classes, as indices from 0 to n_classes - 1.
        logits : Tensor of shape (n_samples, n_classes)
            The teacher's logits, or the student's with their gradient if the rule needs the
            student.

        Returns
        -------
        Tensor of shape (n_samples, n_classes)
            Rows are probability vectors.
        """

    @abstractmethod
    def _smoothing_factor(self, true_class_proba: Tensor) -> Tensor: ...

    def check_parameters(self) -> None:
        """Raise InvalidParameterError if a parameter is outside its range."""
        validate_parameter_constraints(
            self._parameter_constraints, self.get_params(deep=False), type(self).__name__
        )

    def targets(
        self,
        y: ArrayLike,
        teacher_logits: ArrayLike | None,
        student_logits: ArrayLike | None = None,
    ) -> NDArray[np.floating]:
        """Return the soft target of each sample.

        Parameters
        ----------
        y : array-like of shape (n_samples,)
            True classes, as integer indices from 0 to n_classes - 1.
        teacher_logits : array-like of shape (n_samples, n_classes) or None
            The teacher's logits, divided by its temperature. May be None if the rule needs no
            teacher.
        student_logits : array-like of shape (n_samples, n_classes), default=None
            The student's own raw logits. A rule that needs the student reads them. Other rules
            read their shape and type only, if `teacher_logits` is None.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Rows are probability vectors, in the float type of the logits.

        Raises
        ------
        ValueError
            If the logits that the rule needs are None, if both are None, or if shapes, labels or
            values are not as described.
        InvalidParameterError
            If a parameter of the rule is outside its range.
        """
        return self.torch_targets(*self._as_tensors(y, teacher_logits, student_logits)).numpy()

    def _as_tensors(
        self, y: ArrayLike, teacher_logits: ArrayLike | None, student_logits: ArrayLike | None
    ) -> tuple[Tensor, Tensor]:
        """Return labels, and the logits that the rule reads, after all checks."""
        self.check_parameters()
        if teacher_logits is None and self.needs_teacher:
            raise ValueError(f"{type(self).__name__} needs teacher_logits, got None.")
        if student_logits is None and self.needs_student:
            raise ValueError(f"{type(self).__name__} needs student_logits, got None.")
        from_student = self.needs_student or teacher_logits is None
        labels, logits = _checked(y, student_logits if from_student else teacher_logits)
        return torch.from_numpy(labels), torch.from_numpy(logits)

    def smoothing_factor(self, true_class_proba: ArrayLike) -> NDArray[np.floating]:
        """Return the smoothing factor for given probabilities of the true class.

        Parameters
        ----------
        true_class_proba : array-like
            Probabilities p_t in [0, 1], the teacher's, or the student's if the rule needs the
            student.

        Returns
        -------
        ndarray
            Smoothing factors epsilon_i in [0, 1], of the same shape.
        """
        self.check_parameters()
        proba = as_numbers(true_class_proba, "true_class_proba")
        proba = proba if np.issubdtype(proba.dtype, np.floating) else proba.astype(np.float64)
        if not ((proba >= 0) & (proba <= 1)).all():
            raise ValueError("true_class_proba must hold probabilities in [0, 1].")
        return self._smoothing_factor(torch.from_numpy(np.array(proba))).numpy()


def _checked(y: ArrayLike, logits: ArrayLike | None) -> tuple[NDArray[np.int64], NDArray[np.floating]]:
    """Return labels as int64 and logits as a writable float array; raise ValueError if unfit."""
    if logits is None:
        raise ValueError(
            "teacher_logits and student_logits are both None: pass one of them, since the number of classes "
            "and the float type are taken from it."
        )
    scores = as_numbers(logits, "The logits")  # a copy: torch refuses read-only arrays
    if not np.issubdtype(scores.dtype, np.floating):
        scores = scores.astype(np.float64)
    if scores.ndim != 2 or scores.shape[1] < 2:
        raise ValueError(
            f"Expected logits of shape (n_samples, n_classes) with n_classes >= 2, got {scores.shape}."
        )
    if not np.isfinite(scores).all():
        raise ValueError("The logits hold NaN or infinity; floor probabilities before taking the log.")
    labels = np.asarray(as_numpy(y))
    if not np.issubdtype(labels.dtype, np.integer) or labels.shape != scores.shape[:1]:
        raise ValueError(
            f"Expected y as {len(scores)} integer class indices, got shape {labels.shape} of type "
            f"{labels.dtype}; encode labels with np.unique(y, return_inverse=True)."
        )
    if labels.size and not (labels.min() >= 0 and labels.max() < scores.shape[1]):
        raise ValueError(
            f"Expected class indices in [0, {scores.shape[1]}), got values from {labels.min()} to "
            f"{labels.max()}."
        )
    return np.array(labels, dtype=np.int64), scores


class NoSmoothing(SmoothingRule):
    """One-hot targets: plain cross-entropy training ("No LS").

    Examples
    --------
    >>> NoSmoothing().targets([1], [[0.0, 2.0, 1.0]])
    array([[0., 1., 0.]])
    """

    needs_teacher = False

    def torch_targets(self, y: Tensor, logits: Tensor) -> Tensor:
        """Return one-hot targets of shape (n_samples, n_classes)."""
        return torch.zeros_like(logits).scatter(1, y[:, None], 1.0)

    def _smoothing_factor(self, true_class_proba: Tensor) -> Tensor:
        return torch.zeros_like(true_class_proba)


class UniformSmoothing(SmoothingRule):
    r"""Label smoothing with one constant for every sample and class ("LS").

    .. math:: q_k = (1 - \epsilon) 1[k = t] + \epsilon / K

    The usual form (Szegedy et al. 2016, section 7): epsilon is spread over all K classes, the true
    one included, which keeps 1 - epsilon + epsilon / K.

    Parameters
    ----------
    epsilon : float, default=0.1
        Smoothing factor in [0, 1).

    Examples
    --------
    >>> UniformSmoothing(epsilon=0.3).targets([1], [[0.0, 2.0, 1.0]])
    array([[0.1, 0.8, 0.1]])
    """

    needs_teacher = False
    _parameter_constraints: ClassVar = {"epsilon": [Interval(Real, 0, 1, closed="left")]}

    def __init__(self, epsilon: float = 0.1) -> None:
        self.epsilon = epsilon

    def torch_targets(self, y: Tensor, logits: Tensor) -> Tensor:
        """Return uniformly smoothed targets of shape (n_samples, n_classes)."""
        other = self.epsilon / logits.shape[1]
        targets = torch.full_like(logits, other)
        return targets.scatter(1, y[:, None], 1 - self.epsilon + other)

    def _smoothing_factor(self, true_class_proba: Tensor) -> Tensor:
        return torch.full_like(true_class_proba, self.epsilon)


class ILS1(SmoothingRule):
    r"""Instance-based smoothing of the true class, uniform over the wrong classes.

    The smoothing factor is that of :func:`quadratic_smoothing_factor`. Each of the K classes but
    the true one gets the share 1 / (K - 1) of it. A sample whose true class has the teacher's
    probability ``shift`` keeps its hard label; with a lower or a higher one it is smoothed. Source:
    Maher and Kull 2021, Eq. 3 as reconstructed from their appendix.

    Parameters
    ----------
    shift : float, default=0.8
        P1, the true-class probability that is not smoothed, in [0, 1].
    curvature : float, default=2.0
        P2, coefficient of the quadratic term, in [0, inf).
    max_epsilon : float, default=0.2
        Largest smoothing factor, in [0, 1).

    Examples
    --------
    >>> ILS1(shift=1.0, curvature=0.4).smoothing_factor([0.5, 1.0])
    array([0.1, 0. ])
    """

    _parameter_constraints: ClassVar = {
        "shift": [Interval(Real, 0, 1, closed="both")],
        "curvature": [Interval(Real, 0, None, closed="left")],
        "max_epsilon": [Interval(Real, 0, 1, closed="left")],
    }

    def __init__(self, shift: float = 0.8, curvature: float = 2.0, max_epsilon: float = 0.2) -> None:
        self.shift = shift
        self.curvature = curvature
        self.max_epsilon = max_epsilon

    def torch_targets(self, y: Tensor, logits: Tensor) -> Tensor:
        """Return smoothed targets of shape (n_samples, n_classes)."""
        epsilon = self._smoothing_factor(true_class_probability(logits, y))
        return smoothed_targets(y, epsilon, self._share(logits, y))

    def _share(self, logits: Tensor, y: Tensor) -> Tensor:
        return _uniform_share(logits, y)

    def _smoothing_factor(self, true_class_proba: Tensor) -> Tensor:
        return quadratic_smoothing_factor(
            true_class_proba,
            shift=self.shift,
            curvature=self.curvature,
            max_epsilon=self.max_epsilon,
        )


class ILS2(SmoothingRule):
    """A constant smoothing factor, divided among the wrong classes by the teacher's probabilities.

    The share is that of :func:`wrong_class_share`. Source: the code of Maher and Kull 2021. The
    paper's temperature applies to raw teacher logits, ours to logits already divided by the
    teacher's own temperature T_cal: T_paper = T * T_cal. The defaults were chosen on real tables
    (``docs/results/index.md``).

    Parameters
    ----------
    epsilon : float, default=0.1
        Smoothing factor in [0, 1).
    temperature : float, default=3.0
        Softens (> 1) or sharpens (< 1) the teacher's probabilities of the wrong classes, in
        (0, inf).

    Examples
    --------
    >>> ILS2(epsilon=0.3, temperature=1.0).targets([0], [[5.0, 0.0, np.log(2)]]).round(3)
    array([[0.7, 0.1, 0.2]])
    """

    _parameter_constraints: ClassVar = {
        "epsilon": [Interval(Real, 0, 1, closed="left")],
        "temperature": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(self, epsilon: float = 0.1, temperature: float = 3.0) -> None:
        self.epsilon = epsilon
        self.temperature = temperature

    def torch_targets(self, y: Tensor, logits: Tensor) -> Tensor:
        """Return smoothed targets of shape (n_samples, n_classes)."""
        epsilon = logits.new_full((len(logits),), self.epsilon)
        return smoothed_targets(y, epsilon, wrong_class_share(logits, y, temperature=self.temperature))

    def _smoothing_factor(self, true_class_proba: Tensor) -> Tensor:
        return torch.full_like(true_class_proba, self.epsilon)


class ILS(ILS1):
    """Instance-based label smoothing: the factor of :class:`ILS1` with the share of :class:`ILS2`.

    Source: Maher and Kull 2021.

    Parameters
    ----------
    shift : float, default=0.8
        P1, the true-class probability that is not smoothed, in [0, 1].
    curvature : float, default=2.0
        P2, coefficient of the quadratic term, in [0, inf).
    max_epsilon : float, default=0.2
        Largest smoothing factor, in [0, 1).
    temperature : float, default=1.0
        Softens (> 1) or sharpens (< 1) the teacher's probabilities of the wrong classes, in
        (0, inf).

    Examples
    --------
    >>> rule = ILS(shift=0.9, curvature=1.0)
    >>> rule.targets([0, 1], [[1.0, 0.0, -1.0], [1.0, 0.0, -1.0]]).round(3)
    array([[0.945, 0.04 , 0.015],
           [0.176, 0.8  , 0.024]])
    """

    _parameter_constraints: ClassVar = {
        **ILS1._parameter_constraints,
        "temperature": ILS2._parameter_constraints["temperature"],
    }

    def __init__(
        self,
        shift: float = 0.8,
        curvature: float = 2.0,
        max_epsilon: float = 0.2,
        temperature: float = 1.0,
    ) -> None:
        super().__init__(shift=shift, curvature=curvature, max_epsilon=max_epsilon)
        self.temperature = temperature

    def _share(self, logits: Tensor, y: Tensor) -> Tensor:
        return wrong_class_share(logits, y, temperature=self.temperature)


class ClassSmoothing(SmoothingRule):
    r"""A constant smoothing factor, divided among the wrong classes as the teacher sees the class.

    .. math:: q_k = (1 - \epsilon) 1[k = t] + \epsilon \frac{m_{tk}}{1 - m_{tt}} 1[k \ne t], \quad
        m_{tk} = \frac{\sum_{i: t_i = t} w_i p_{ik}}{\sum_{i: t_i = t} w_i}

    with the teacher's probabilities p and the weights w of all training rows: every row of a class
    has the same target, in which the classes that the teacher takes it for have most. So the rule
    must see all rows of a class at once, which ``teacher_mode="online"`` and ``partial_fit`` never
    have. Give it out-of-fold probabilities, by ``teacher_cv``: the means of rows that the teacher
    was trained on say less about what it takes for what.

    Source: "class-based smoothing", a baseline of Maher and Kull 2021, whose code takes the means
    over held-out rows. Two things there are not repeated: it weighs a wrong class by 1 minus its
    mean, so that the classes that are *unlike* the true one have most, and it applies softmax to
    the means once more in every batch.

    Parameters
    ----------
    epsilon : float, default=0.1
        Smoothing factor in [0, 1).

    Examples
    --------
    >>> logits = np.log([[0.7, 0.2, 0.1], [0.5, 0.4, 0.1]])
    >>> ClassSmoothing(epsilon=0.2).targets([0, 0], logits)
    array([[0.8 , 0.15, 0.05],
           [0.8 , 0.15, 0.05]])
    """

    needs_all_rows = True
    _parameter_constraints: ClassVar = {"epsilon": ILS2._parameter_constraints["epsilon"]}

    def __init__(self, epsilon: float = 0.1) -> None:
        self.epsilon = epsilon

    def targets(
        self,
        y: ArrayLike,
        teacher_logits: ArrayLike | None,
        student_logits: ArrayLike | None = None,
        *,
        sample_weight: ArrayLike | None = None,
    ) -> NDArray[np.floating]:
        """Return the soft target of each sample.

        Parameters
        ----------
        y : array-like of shape (n_samples,)
            True classes, as integer indices from 0 to n_classes - 1.
        teacher_logits : array-like of shape (n_samples, n_classes)
            The teacher's logits of all rows, divided by its temperature.
        student_logits : array-like of shape (n_samples, n_classes), default=None
            Not read.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights; their scale does not matter. A class whose weights are all 0 has
            the mean of its rows.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Rows are probability vectors, in the float type of the logits.

        Raises
        ------
        ValueError
            If the logits are None, or if shapes, labels, weights or values are not as described.
        InvalidParameterError
            If `epsilon` is outside its range.
        """
        labels, logits = self._as_tensors(y, teacher_logits, student_logits)
        weight = None
        if sample_weight is not None:
            weight = torch.from_numpy(check_sample_weight(as_numpy(sample_weight), len(labels)))
        return self.torch_targets(labels, logits, weight).numpy()

    def torch_targets(self, y: Tensor, logits: Tensor, weight: Tensor | None = None) -> Tensor:
        """Return smoothed targets of shape (n_samples, n_classes); rows may have weights."""
        classes = torch.arange(logits.shape[1], device=y.device)
        share = wrong_class_share(_class_log_sums(y, logits, weight), classes)
        return smoothed_targets(y, logits.new_full((len(y),), self.epsilon), share[y])

    def _smoothing_factor(self, true_class_proba: Tensor) -> Tensor:
        return torch.full_like(true_class_proba, self.epsilon)


def _class_log_sums(y: Tensor, logits: Tensor, weight: Tensor | None) -> Tensor:
    """Return log(sum of w p over the rows of a class) of shape (n_classes, n_classes).

    -inf for a class without a row. Logarithms, since a teacher that is certain of all rows of a
    class would leave 0 / 0.
    """
    n_classes = logits.shape[1]
    # Logits far apart have a difference that is infinite in their type.
    log_proba = torch.log_softmax(logits, dim=1).clamp(min=torch.finfo(logits.dtype).min / 2)
    if weight is not None:
        total = weight.new_zeros(n_classes).index_add(0, y, weight)
        log_proba = log_proba + torch.where(total[y] > 0, weight, 1).log()[:, None].to(log_proba)
    counts = torch.bincount(y, minlength=n_classes).tolist()
    parts = log_proba[y.argsort(stable=True)].split(counts)
    return torch.stack([part.logsumexp(dim=0) for part in parts])


class SelfDistillation(SmoothingRule):
    r"""The teacher's softened output mixed with the one-hot label.

    .. math:: q_k = (1 - w) 1[k = t] + w \, \mathrm{softmax}(z / T)_k

    Sources: Hinton et al. 2015 for the softened output; Furlanello et al. 2018 for a teacher of the
    student's own architecture ("born again"). Hinton et al. soften the student's output, too, by
    the same temperature T, and multiply that term of the loss by T squared. Here the student's
    output is not softened, so that its probabilities can be used without T.

    Parameters
    ----------
    weight : float, default=0.5
        w, the weight of the teacher's output in the target, in [0, 1]. 0 trains on hard labels, 1
        on the teacher's output alone.
    temperature : float, default=1.0
        T, softens (> 1) or sharpens (< 1) the teacher's output, in (0, inf). It multiplies the
        teacher's own temperature T_cal: T_paper = T * T_cal.

    Notes
    -----
    The smoothing factor is what leaves the true class, :math:`w (1 - \mathrm{softmax}(z / T)_t)`.
    At T = 1 it is :math:`w (1 - p_t)`. At any other T it depends on all logits, not on p_t alone,
    so that ``smoothing_factor`` raises a ValueError; take
    ``1 - targets(y, logits)[np.arange(len(y)), y]`` instead.

    Examples
    --------
    >>> SelfDistillation(weight=0.5).targets([0], [[0.0, 0.0, np.log(2)]]).round(3)
    array([[0.625, 0.125, 0.25 ]])
    """

    _parameter_constraints: ClassVar = {
        "weight": [Interval(Real, 0, 1, closed="both")],
        "temperature": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(self, weight: float = 0.5, temperature: float = 1.0) -> None:
        self.weight = weight
        self.temperature = temperature

    def torch_targets(self, y: Tensor, logits: Tensor) -> Tensor:
        """Return mixed targets of shape (n_samples, n_classes)."""
        return mixed_targets(y, logits, weight=self.weight, temperature=self.temperature)

    def _smoothing_factor(self, true_class_proba: Tensor) -> Tensor:
        if self.temperature != 1:
            raise ValueError(
                "The smoothing factor of SelfDistillation is a function of the true class's probability at "
                f"temperature=1 only, got temperature={self.temperature}; take 1 minus the true class's "
                "entry of `targets`."
            )
        return self.weight * (1 - true_class_proba)


class SoftBootstrap(SmoothingRule):
    r"""The student's own current prediction mixed with the one-hot label ("soft bootstrapping").

    .. math:: q_k = \beta 1[k = t] + (1 - \beta) \, \mathrm{softmax}(z)_k

    with the student's raw logits z, so that targets change in every step. Source: Reed et al. 2014,
    Eq. 6, :math:`L = -\sum_k (\beta 1[k = t] + (1 - \beta) p_k) \ln p_k` with the student's
    prediction p. Gradients also flow through the p inside the target. The authors call L softmax
    regression with minimum entropy regularisation: beta times the cross-entropy plus 1 - beta times
    the entropy of p. It is that only if the gradient flows; implementations that stop it in the
    target are another method. The paper's own text was not at hand; equation and default follow a
    public notebook about it (github.com/vfdev-5/BootstrappingLoss), in which the gradient flows.

    Parameters
    ----------
    beta : float, default=0.95
        The weight of the label in the target, in (0, 1]. 1 trains on hard labels.

    Examples
    --------
    >>> SoftBootstrap(beta=0.5).targets([0], None, [[0.0, 0.0, np.log(2)]]).round(3)
    array([[0.625, 0.125, 0.25 ]])
    """

    needs_teacher = False
    needs_student = True
    _parameter_constraints: ClassVar = {"beta": [Interval(Real, 0, 1, closed="right")]}

    def __init__(self, beta: float = 0.95) -> None:
        self.beta = beta

    def torch_targets(self, y: Tensor, logits: Tensor) -> Tensor:
        """Return mixed targets for the student's logits; the gradient flows through them."""
        return mixed_targets(y, logits, weight=1 - self.beta)

    def _smoothing_factor(self, true_class_proba: Tensor) -> Tensor:
        return (1 - self.beta) * (1 - true_class_proba)


_RULE_NAMES = ("targets", "smoothing_factor", "needs_teacher")
_RULES: dict[str, Callable[[], SmoothingRule]] = {
    "none": NoSmoothing,
    "uniform": UniformSmoothing,
    "ils1": ILS1,
    "ils2": ILS2,
    "ils": ILS,
    "class": ClassSmoothing,
    "distillation": SelfDistillation,
    "bootstrap": SoftBootstrap,
}


def needs_student(rule: Rule) -> bool:
    """Return whether a rule reads the student's own logits.

    Parameters
    ----------
    rule : Rule
        Of this module or a user's own.

    Returns
    -------
    bool
        The rule's attribute ``needs_student``, or False if it has none.
    """
    return bool(getattr(rule, "needs_student", False))


def needs_all_rows(rule: Rule) -> bool:
    """Return a rule's attribute ``needs_all_rows``, or False if it has none."""
    return bool(getattr(rule, "needs_all_rows", False))


def resolve_rule(smoothing: str | Rule) -> Rule:
    """Return a new rule object for a name or an instance.

    Parameters
    ----------
    smoothing : str or Rule
        "none", "uniform", "ils1", "ils2", "ils", "class", "distillation" or "bootstrap". A name
        stands for the rule with its default parameters.

    Returns
    -------
    Rule
        Never the object that was passed: an instance is cloned.

    Raises
    ------
    InvalidParameterError
        For an unknown name (the error suggests the nearest known one), for an object that is no
        rule, and for a rule that needs the student's logits and either the teacher's or all rows.

    Examples
    --------
    >>> resolve_rule("ils2")
    ILS2()
    """
    if isinstance(smoothing, str):
        if smoothing in _RULES:
            return _RULES[smoothing]()
        lower = smoothing.lower()
        # The paper's LS is nearer to "ils" by its letters only.
        near = ["uniform"] if lower == "ls" else get_close_matches(lower, _RULES, n=1, cutoff=0.4)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise InvalidParameterError(
            f"Unknown smoothing {smoothing!r}.{hint} Known names: {', '.join(map(repr, _RULES))}."
        )
    if isinstance(smoothing, type) or not all(hasattr(smoothing, name) for name in _RULE_NAMES):
        is_factor = isinstance(smoothing, Real) and not isinstance(smoothing, bool)
        hint = f' Did you mean smoothing="uniform", smoothing__epsilon={smoothing!r}?' if is_factor else ""
        raise InvalidParameterError(
            f"smoothing must be one of {', '.join(map(repr, _RULES))} or a rule object with "
            f"targets(y, teacher_logits, student_logits=None), smoothing_factor(true_class_proba) and "
            f"needs_teacher; got {smoothing!r}.{hint}"
        )
    if smoothing.needs_teacher and needs_student(smoothing):
        raise InvalidParameterError(
            f"A rule reads either the teacher's logits or the student's, but {smoothing!r} has both "
            "needs_teacher and needs_student."
        )
    if needs_all_rows(smoothing) and needs_student(smoothing):
        raise InvalidParameterError(
            f"A rule that reads the student is asked in every batch, never about all rows at once, but "
            f"{smoothing!r} has both needs_all_rows and needs_student."
        )
    rule: Rule = clone(smoothing, safe=False)
    return rule

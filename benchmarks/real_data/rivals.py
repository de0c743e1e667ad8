"""Beta smoothing: the method of the paper's comparison that is no rule of the package, on its public hooks.

It is a subclass with its own `get_loss`, and stands here, not in the package, because it keeps an average of
the network between batches.
"""

from numbers import Real

import torch
from sklearn.utils import check_scalar
from torch.optim.swa_utils import AveragedModel

from sk_ils import TeacherClassifier

__all__ = ["BetaSmoothedClassifier", "beta_targets", "ordered_draws"]


def ordered_draws(true_class_proba, draws):
    """Return the draws in the order of the probabilities: the least confident row gets the smallest.

    Parameters
    ----------
    true_class_proba, draws : Tensor of shape (n,)

    Returns
    -------
    Tensor of shape (n,)
    """
    ordered = torch.empty_like(draws)
    ordered[true_class_proba.argsort()] = draws.sort().values
    return ordered


def beta_targets(codes, average_logits, draws, weight):
    r"""Return the targets of one batch, uniform over the wrong classes.

    .. math:: q_k = 1[k = t] (1 - \epsilon_i) + 1[k \ne t] \frac{\epsilon_i}{K - 1}, \quad
              \epsilon_i = w (1 - b_{(i)})

    with the draws b in the order of the average network's true-class probability.

    Parameters
    ----------
    codes : int64 Tensor of shape (n,)
    average_logits : Tensor of shape (n, K)
    draws : Tensor of shape (n,)
        Random numbers in [0, 1].
    weight : float
        w in [0, 1].

    Returns
    -------
    Tensor of shape (n, K)
        Rows sum to 1.
    """
    proba = torch.softmax(average_logits, dim=1).gather(1, codes[:, None]).squeeze(1)
    factor = weight * (1 - ordered_draws(proba, draws))[:, None]
    uniform = (factor / (average_logits.shape[1] - 1)).expand_as(average_logits)
    return uniform.scatter(1, codes[:, None], 1 - factor)


class BetaSmoothedClassifier(TeacherClassifier):
    r"""Beta smoothing: random smoothing factors, ordered like a moving-average network's confidence.

    In each batch b_i ~ Beta(a, 1) are drawn and handed out in the order of the true-class probability that
    an exponential moving average of the network's weights gives; the target is that of :func:`beta_targets`,
    whose mean smoothing factor is w / (a + 1). After step s the average moves by

    .. math:: \bar\theta \leftarrow \lambda_s \bar\theta + (1 - \lambda_s) \theta, \quad
              \lambda_s = \min(1 - 1 / (s + 1), \lambda).

    Source: Zhang and Sabuncu, "Self-Distillation as Instance-Specific Label Smoothing", NeurIPS 2020,
    arXiv:2006.05065. The paper's text was not at hand; formulas and defaults (a = 3, w = 0.6,
    lambda = 0.999) follow a public copy of the authors' `loss.py` and `train_smoothing.py`, where the loss is
    (1 - w) times the cross-entropy of the label plus w times that of the Beta target, which is the
    cross-entropy of our one target. Where we differ: the average starts at the network's own initial
    weights, theirs at another random network, which the average soon forgets; they keep the epoch with
    the best validation accuracy, all methods here that with the lowest cross-entropy.

    Parameters
    ----------
    module : torch module class, instance or None, default=None
        As in :class:`sk_ils.TeacherClassifier`; takes one tensor.
    concentration : float, default=3.0
        a in (0, inf); the larger, the less smoothing.
    weight : float, default=0.6
        w in [0, 1].
    decay : float, default=0.999
        lambda in [0, 1).
    **kwargs : dict
        Parameters of :class:`sk_ils.TeacherClassifier`.
    """

    def __init__(self, module=None, *, concentration=3.0, weight=0.6, decay=0.999, **kwargs):
        super().__init__(module, **kwargs)
        self.concentration = concentration
        self.weight = weight
        self.decay = decay

    def fit(self, X, y=None, **metadata):
        """Fit the network; see :class:`sk_ils.TeacherClassifier`."""
        check_scalar(self.concentration, "concentration", Real, min_val=0, include_boundaries="neither")
        check_scalar(self.weight, "weight", Real, min_val=0, max_val=1)
        check_scalar(self.decay, "decay", Real, min_val=0, max_val=1, include_boundaries="left")
        return super().fit(X, y, **metadata)

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Start the average at the network's initial weights."""
        super().on_train_begin(net, X=X, y=y, **kwargs)
        # Not by setattr: skorch would take it for a module to train and to save.
        vars(self)["_average"] = AveragedModel(self.module_, multi_avg_fn=self._move)

    def on_train_end(self, net, X=None, y=None, **kwargs):
        """Drop the average: it takes no part in prediction."""
        super().on_train_end(net, X=X, y=y, **kwargs)
        del self._average

    def _move(self, average, current, n_averaged):
        kept = min(1 - 1 / (int(n_averaged) + 1), self.decay)
        torch._foreach_lerp_(average, current, 1 - kept)

    def get_loss(self, y_pred, y_true, X=None, training=False):
        """Return the cross-entropy against the batch's Beta targets; in validation against hard labels."""
        if not training:
            return super().get_loss(y_pred, y_true, X, training)
        # The weights are those after the step before; in the first batch this only copies them.
        self._average.update_parameters(self.module_)
        with torch.no_grad():
            logits = self._average(X)
        draws = torch.rand(len(logits), device=logits.device).pow(1 / self.concentration)  # inverse CDF
        targets = beta_targets(y_true.y_encoded.to(logits.device), logits, draws, self.weight)
        return super().get_loss(y_pred, y_true._replace(soft=targets), X, training)

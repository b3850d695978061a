"""Exact means, variances and targets of the gradient estimators of Mixture-of-Experts routers.

A *problem* is router logits θ, π = softmax(θ), and either an objective read at one-hots (:func:`categorical`) or expert
outputs under a loss (:func:`mixture`). :func:`target` is the exact gradient that an estimator should have; :func:`moments`
what an estimator really has in the mean, and its variance; :func:`outcomes` everything that can happen when it is run once.

Everything raises :class:`RouteGradError`, a ``ValueError``, with the library's message. Calls release the GIL, and any
number of threads may use one problem at the same time.
"""

from ._errors import RouteGradError
from ._estimators import estimators
from ._expectations import Assessment, Moments, assess, expected_loss, moments, target
from ._library import version as _version
from ._outcomes import Outcome, outcomes, sample
from ._problems import Problem, categorical, mixture, problem, problems

__version__ = _version()

__all__ = [
    "Assessment", "Moments", "Outcome", "Problem", "RouteGradError", "assess", "categorical", "estimators",
    "expected_loss", "mixture", "moments", "outcomes", "problem", "problems", "sample", "target",
]

"""Exact means, variances and targets of the gradient estimators of Mixture-of-Experts routers.

A *problem* is router logits θ, π = softmax(θ), and either an objective read at one-hots (:func:`categorical`) or expert
outputs under a loss (:func:`mixture`). :func:`target` is the exact gradient that an estimator should have; :func:`moments`
what an estimator really has in the mean, and its variance; :func:`outcomes` everything that can happen when it is run once.
:func:`assess` says what bias and variance an estimator has: one of the library, or your own, from its samples or outcomes.
:func:`verify` judges gradient samples of another program, :func:`lint` a router: a PyTorch module, a JAX function, or any
callable; :func:`audit_layer` a whole layer.

Everything raises :class:`RouteGradError`, a ``ValueError``, with the library's message. Calls release the GIL, and any
number of threads may use one problem at the same time.
"""

from ._assessment import SampleAssessment, assess
from ._errors import RouteGradError
from ._estimators import estimators
from ._expectations import Assessment, Moments, expected_loss, moments, target
from ._layers import LayerAudit, audit_layer
from ._library import version as _version
from ._lint import Lint, lint
from ._outcomes import Outcome, outcomes, sample
from ._problems import Problem, categorical, mixture, problem, problems
from ._verification import Verification, verify

__version__ = _version()

__all__ = [
    "Assessment", "LayerAudit", "Lint", "Moments", "Outcome", "Problem", "RouteGradError", "SampleAssessment",
    "Verification", "assess",
    "audit_layer", "categorical", "estimators", "expected_loss", "lint", "mixture", "moments", "outcomes", "problem", "problems", "sample", "target",
    "verify",
]

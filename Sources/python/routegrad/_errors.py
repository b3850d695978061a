"""The one exception of the package."""

from __future__ import annotations


class RouteGradError(ValueError):
    """A call that the library refused, with its message: what was wrong, and what was expected.

    ``status`` says of which kind it is: ``"invalid-argument"``, ``"invalid-data"``, ``"buffer-too-small"``,
    ``"unavailable"`` (the estimator or target is not defined on the problem), ``"overflow"``, ``"tolerance-not-reached"``,
    ``"callback-failed"`` (your function raised: its exception is ``__cause__``) or ``"callback-not-finite"``.
    """

    def __init__(self, message: str, status: str = "invalid-argument"):
        super().__init__(message)
        self.status = status

"""The error of whoever calls, and the warning."""


class MsaError(ValueError):
    """A mistake in what was given, said in one line: the argument, what was expected, what came, the remedy."""


class MsaWarning(UserWarning):
    """What a user should know of a run that goes on; every warning of this package is one."""


__all__ = ["MsaError", "MsaWarning"]

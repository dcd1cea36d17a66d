"""The error of whoever calls."""


class MsaError(ValueError):
    """A mistake in what was given, said in one line: the argument, what was expected, what came, the remedy."""


__all__ = ["MsaError"]

"""The errors that are a user's to mend, and the warning.

The command line prints such an error as one line; any other error is a bug of ours.
"""

from collections.abc import Sequence

from .models.errors_msa import MsaError, MsaWarning


class CorpusError(MsaError):
    """A corpus cannot be read; the message names the file, the place, what was found and what was expected."""


class RecipeError(MsaError):
    """A recipe cannot be carried out, or does not fit its corpus or an unfinished run."""


class CheckpointError(MsaError):
    """A checkpoint is not there, damaged, of another package, or does not fit."""


class PublishError(MsaError):
    """What is wrong with a checkpoint that was to be published.

    Args:
        problems: A line each.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("not published: " + "; ".join(problems))
        self.problems = list(problems)


class MissingLibraryError(MsaError, ModuleNotFoundError):
    """A library is not installed that only a part of the package needs; the message says which extra brings it."""


__all__ = [
    "CheckpointError",
    "CorpusError",
    "MissingLibraryError",
    "MsaError",
    "MsaWarning",
    "PublishError",
    "RecipeError",
]

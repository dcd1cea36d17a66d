"""Import a library that only a part of the package needs, or say which extra brings it."""

import importlib
import importlib.util
from types import ModuleType

from .errors import MissingLibraryError


def require(module: str, extra: str, purpose: str) -> ModuleType:
    """Return an optional module.

    Args:
        module: Its name, as in an import.
        extra: The extra of this package that installs it.
        purpose: What needs it, the subject of the error's sentence.

    Raises:
        MissingLibraryError: When it is not installed.
    """
    library = module.partition(".")[0]
    if importlib.util.find_spec(library) is None:
        raise MissingLibraryError(
            f'{purpose}: expected {library}, which is not installed; run: pip install "hf_msa[{extra}]"'
        )
    return importlib.import_module(module)


__all__ = ["require"]

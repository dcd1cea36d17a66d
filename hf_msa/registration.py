"""Make transformers' Auto classes know the models, as late as possible and never too late.

Registering needs the model classes, and with them torch and transformers: seconds. A command line's help, or an
exported model that runs without torch, need neither. So `import hf_msa` registers at once where the Auto classes are
loaded already, and otherwise in the moment in which they are: nobody can ask them for a model before.
"""

import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from . import models

# Every Auto class of transformers imports this module; before that there is nothing to register with.
_AUTO_CLASSES = "transformers.models.auto.configuration_auto"
_WATCHED = ("transformers", "hf_msa")


def register_models() -> None:
    """Register now where transformers' Auto classes are there, else as soon as they have been imported."""
    if _AUTO_CLASSES in sys.modules:
        models.register()
    elif not any(isinstance(finder, _Watch) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Watch())


class _Watch:
    """Watch the imports of transformers and of this package, and register when the outermost of them is done.

    Not sooner: inside of it modules are half-finished. It finds nothing itself and goes when its work is done.
    """

    def __init__(self) -> None:
        self.depth = 0

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return the spec that the other finders give such a module, with a loader that tells when it is loaded."""
        if name.partition(".")[0] not in _WATCHED:
            return None
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            spec = None if finder is self or find is None else find(name, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _TellingLoader(spec.loader, self)
                return spec
        return None

    def end(self) -> None:
        """Register if this was the outermost import and the Auto classes are among what it brought."""
        if not self.depth and _AUTO_CLASSES in sys.modules:
            sys.meta_path.remove(self)
            models.register()


class _TellingLoader:
    """A module's own loader, except that the end of loading is told."""

    def __init__(self, loader: Any, watch: _Watch) -> None:
        self.loader = loader
        self.watch = watch

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        """Return what the own loader makes."""
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Run the module under its own loader."""
        module.__loader__ = self.loader
        if module.__spec__ is not None:
            module.__spec__.loader = self.loader
        self.watch.depth += 1
        try:
            self.loader.exec_module(module)
        finally:
            self.watch.depth -= 1
        self.watch.end()

"""Make transformers' Auto classes know the models, as late as possible and never too late.

Registering needs the model classes, and with them torch and transformers: seconds. A command line's help, or an
exported model that runs without torch, need neither. So `import hf_msa` registers at once where the Auto classes are
loaded already, and otherwise in the moment in which they are: nobody can ask them for a model before.
"""

import contextlib
import sys
import threading
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from . import models

# Every Auto class of transformers imports this module; before that there is nothing to register with.
_AUTO_CLASSES = "transformers.models.auto.configuration_auto"
_WATCHED = ("transformers", "hf_msa")


def register_models() -> None:
    """Register now where transformers' Auto classes are there, else as soon as they have been imported."""
    if _AUTO_CLASSES in sys.modules:
        _register()
    elif not any(isinstance(finder, _Watch) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Watch())


def _register() -> None:
    from transformers.utils import is_torch_available

    if is_torch_available():  # Without it transformers has Auto classes, for tokenizers, but no models.
        models.register()


class _Watch:
    """Watch the imports of transformers and of this package, and register when the outermost of them is done.

    Not sooner: inside of it modules are half-finished. And not while another thread is inside of one: each would hold
    locks of the import system that the other needs. It finds nothing itself; once done it looks away, and stays, since
    a list that other threads may be going through must not shrink.
    """

    def __init__(self) -> None:
        self.depth = 0
        self.lock = threading.Lock()
        self.is_done = False

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec that the finders behind give such a module, with a loader that tells of the loading."""
        if self.is_done or name.partition(".")[0] not in _WATCHED:
            return None
        for finder in sys.meta_path[sys.meta_path.index(self) + 1 :]:
            find = getattr(finder, "find_spec", None)
            if find is not None and (spec := find(name, path, target)) is not None:
                if hasattr(spec.loader, "exec_module"):  # a package without an __init__ has no loader
                    spec.loader = _TellingLoader(spec.loader, self)
                return spec
        return None

    @contextlib.contextmanager
    def importing(self) -> Iterator[None]:
        """Count an import; when the outermost ends, failed or not, register if it brought the Auto classes."""
        self._count(1)
        try:
            yield
        finally:
            if self._count(-1) == 0 and _AUTO_CLASSES in sys.modules and not self.is_done:
                self._count(1)  # what registering imports is inside, too
                try:
                    _register()
                    self.is_done = True
                finally:
                    self._count(-1)

    def _count(self, step: int) -> int:
        with self.lock:
            self.depth += step
            return self.depth


class _TellingLoader:
    """A module's loader, except that the watch is told of the loading; like `importlib.util.LazyLoader` it steps back.

    Args:
        loader: The one that was found.
        watch: Whom to tell.
    """

    def __init__(self, loader: Any, watch: _Watch) -> None:
        self.loader = loader
        self.watch = watch

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Return what the loader makes."""
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Let the loader run the module, in which nothing shows that it was watched."""
        module.__loader__ = self.loader
        if module.__spec__ is not None:
            module.__spec__.loader = self.loader
        with self.watch.importing():
            self.loader.exec_module(module)


__all__ = ["register_models"]

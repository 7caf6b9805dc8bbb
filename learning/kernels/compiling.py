"""From the source of a kernel to functions: compiled once, kept on disk, and found there ever after."""

import hashlib
import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType

from dvs.errors import OutputError
from learning.kernels import denormals, loops


@dataclass(frozen=True, kw_only=True, eq=False)
class Kernel:
    """The two functions, and the file in which they stand."""

    forward: Callable[..., None]
    backward: Callable[..., None]
    path: Path


def compiled(source: str) -> Kernel:
    """The functions of a kernel's source; Numba compiles them when they are first called.

    The file is kept in `cache_folder()`, under a name made of its text and of the loops that it uses, with what Numba
    compiled beside it. Raises `OutputError` where it cannot be written.
    """
    key = hashlib.sha256("\0".join((source, *map(_text, (loops, denormals)))).encode()).hexdigest()[:20]
    name = f"microsaccade_kernel_{key}"
    path = cache_folder() / f"{name}.py"
    if not path.exists():
        _write(path, source)
    module = sys.modules.get(name) or _imported(name, path)
    return Kernel(forward=module.forward, backward=module.backward, path=path)


def cache_folder() -> Path:
    """Where kernels are kept: $MICROSACCADE_CACHE, or microsaccade in the user's folder of caches."""
    if "MICROSACCADE_CACHE" in os.environ:
        return Path(os.environ["MICROSACCADE_CACHE"])
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "microsaccade"
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "microsaccade"


def _write(path: Path, source: str) -> None:
    """All at once, so that another process never reads a half."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".py", delete=False, encoding="utf-8") as file:
            file.write(source)
        Path(file.name).replace(path)
    except OSError as error:
        raise OutputError(
            f"kernels cannot be kept in {path.parent}: {error.strerror}; set MICROSACCADE_CACHE to a folder that can "
            "be written"
        ) from error


def _imported(name: str, path: Path) -> ModuleType:
    specification = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module  # Numba looks there for the functions of a kernel that it finds compiled
    specification.loader.exec_module(module)
    return module


@lru_cache(maxsize=2)
def _text(module: ModuleType) -> str:
    return Path(module.__file__).read_text(encoding="utf-8")

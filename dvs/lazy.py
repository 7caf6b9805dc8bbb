"""Packages whose `__init__` is a table of names, each imported when it is first used, so that importing is light."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any


def lazy_names(
    package: str, homes: Mapping[str, Sequence[str]], modules: Sequence[str] = ()
) -> tuple[list[str], Callable[[str], Any], Callable[[], list[str]]]:
    """`__all__`, `__getattr__` and `__dir__` of a package whose names live in the modules `homes`.

    modules: submodules that are themselves found as attributes.

    >>> names, get, _ = lazy_names("dvs", {"dvs.events": ("make_events",)})
    >>> names, get("make_events").__name__
    (['make_events'], 'make_events')
    """
    home_of = {name: home for home, names in homes.items() for name in names}
    names = sorted((*home_of, *modules))

    def get(name: str) -> Any:
        if name in modules:
            return import_module(f"{package}.{name}")
        if name not in home_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(home_of[name]), name)

    return names, get, lambda: [*names, "__doc__"]

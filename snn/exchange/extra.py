"""The library `nir`, which not everybody has."""

from types import ModuleType

from dvs.errors import MissingExtraError


def import_nir() -> ModuleType:
    """The module `nir`, or `MissingExtraError` with the line that installs it."""
    try:
        import nir
    except ImportError as error:
        raise MissingExtraError('NIR files and graphs need the library nir: pip install "microsaccade[nir]"') from error
    return nir

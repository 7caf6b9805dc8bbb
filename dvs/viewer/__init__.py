"""A viewer of recordings, in a notebook and in a page: cloud in space and time, picture of a window, rates.

    dvs.viewer.widget(recording)              a widget for Jupyter, Colab, marimo and VS Code
    dvs.viewer.page(recording)                the text of an HTML page that needs nothing but itself
    dvs.viewer.fragment(recording)            the same for the inside of a page

The command `dvs view` writes such a page and opens it. All of them run `viewer.js`, which is written by hand and
needs no other package.
"""

from typing import TYPE_CHECKING

from dvs.lazy import lazy_names

_HOMES = {"dvs.viewer.document": ("fragment", "page"), "dvs.viewer.notebook": ("widget",)}

__all__, __getattr__, __dir__ = lazy_names(__name__, _HOMES)

if TYPE_CHECKING:
    from dvs.viewer.document import fragment, page
    from dvs.viewer.notebook import widget

"""Colours of events, by name. No set is agreed on, so one's own viewer's is to be had.

The numbers of others are facts of their programs:

* `metavision` and `cool-warm`: Prophesee's viewers (OpenEB, Metavision SDK core), Dark and CoolWarm;
* `dv`: iniVation's (dv-processing, `dv::visualization::colors`: white, iniBlue, darkGrey);
* `redblue`: red ON and blue OFF on white, as in most papers; some programs have the two the other way round;
* `grey`: white ON and black OFF on grey (jAER; Metavision, Gray).

`dark` and `light` are this project's own: blue ON and orange OFF stay apart for eyes that lack one kind of cone.
"""

from dataclasses import dataclass

from dvs.errors import ParameterError

Colour = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class Palette:
    """Colours (red, green, blue) of a picture of events."""

    background: Colour
    on: Colour
    off: Colour

    @property
    def is_dark(self) -> bool:
        """Whether light ink is needed on the background."""
        return sum(self.background) < 3 * 128


PALETTES = {
    "dark": Palette(background=(18, 24, 36), on=(105, 178, 255), off=(255, 148, 56)),
    "light": Palette(background=(255, 255, 255), on=(61, 127, 214), off=(224, 123, 42)),
    "metavision": Palette(background=(30, 37, 52), on=(255, 255, 255), off=(64, 126, 201)),
    "cool-warm": Palette(background=(217, 224, 237), on=(255, 113, 117), off=(87, 123, 198)),
    "dv": Palette(background=(255, 255, 255), on=(0, 93, 183), off=(43, 43, 43)),
    "redblue": Palette(background=(255, 255, 255), on=(255, 0, 0), off=(0, 0, 255)),
    "grey": Palette(background=(128, 128, 128), on=(255, 255, 255), off=(0, 0, 0)),
}


def find_palette(palette: str | Palette) -> Palette:
    """The palette of that name; a `Palette` is returned as it is."""
    if isinstance(palette, Palette):
        return palette
    if palette not in PALETTES:
        raise ParameterError(f"palette = {palette!r}; choose one of {', '.join(PALETTES)}, or give a Palette")
    return PALETTES[palette]

"""The options of v2e (Hu, Liu and Delbruck 2021), for those who know them by heart.

What differs in name alone is renamed; the rest are hidden options that are translated. `--crop` and
`--cutoff-hz` are the same in both.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from dvs.sensors import load_sensor

RENAMED = {
    "output-folder": "output",
    "pos-thres": "theta-on",
    "neg-thres": "theta-off",
    "sigma-thres": "theta-sigma",
    "leak-rate-hz": "leak-hz",
    "shot-noise-rate-hz": "shot-noise-hz",
    "dvs-emulator-seed": "seed",
    "input-frame-rate": "fps",
    "input-slowmotion-factor": "slow-motion",
    "start-time": "start",
    "stop-time": "stop",
}

_CAMERAS = {"dvs128": (128, 128), "dvs240": (240, 180), "dvs346": (346, 260), "dvs640": (640, 480),
            "dvs1024": (1024, 768)}  # fmt: skip

# Option, the name of the format here, the suffix that v2e appends.
_FILES = {"dvs_h5": ("v2e", ".h5"), "dvs_aedat4": ("aedat4", ".aedat4"), "dvs_text": ("txt", ".txt")}

# set_dvs_params in v2ecore/emulator.py; all else as in an ideal sensor. v2e gives the spread of noise
# rates in decades, here it is the standard deviation of their natural logarithm.
_PARAMS = {
    "clean": {"theta_sigma": 0.02},
    "noisy": {
        "theta_sigma": 0.05,
        "cutoff_hz": 30.0,
        "leak_hz": 0.1,
        "leak_sigma": 0.1 * math.log(10),
        "shot_noise_hz": 5.0,
    },
}

HIDDEN = (
    click.Option(["-i", "--input"], hidden=True),
    click.Option(["--output-width"], type=int, hidden=True),
    click.Option(["--output-height"], type=int, hidden=True),
    click.Option(["--refractory-period"], type=float, hidden=True),
    click.Option(["--disable-slomo"], is_flag=True, hidden=True),
    click.Option(["--dvs-params"], type=click.Choice(list(_PARAMS)), hidden=True),
    *(click.Option([f"--{name}"], is_flag=True, hidden=True) for name in _CAMERAS),
    *(click.Option([f"--{name.replace('_', '-')}"], type=click.Path(path_type=Path), hidden=True) for name in _FILES),
)

# As v2e spells them; without hyphens, at which a line might break.
NAMES = " ".join(["-i", *(f"--{name.replace('-', '_')}" for name in [*RENAMED, *(each.name for each in HIDDEN)])])


def modern_name(name: str) -> str:
    """The name that an option has here; underscores are as good as hyphens."""
    name = name.replace("_", "-")
    return RENAMED.get(name, name)


def translate(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options without those of `HIDDEN`; what these stand for counts where nothing modern was given.

    Adds `files`, pairs (path, format) that were asked for by their kind.
    """
    old = {option.name: options[option.name] for option in HIDDEN}
    meant: dict[str, Any] = {"source": old["input"]}
    if old["refractory_period"] is not None:
        meant["refractory_us"] = 1e6 * old["refractory_period"]
    if old["disable_slomo"]:
        meant["interpolation"] = "none"
    for name, size in _CAMERAS.items():
        if old[name]:
            meant["size"] = size
    if (old["output_width"] is None) != (old["output_height"] is None):
        raise click.UsageError("--output-width and --output-height go together; give both, or --size WxH")
    if old["output_width"] is not None:
        meant["size"] = old["output_width"], old["output_height"]
    if old["dvs_params"] is not None:
        if options["sensor"] is not None:
            raise click.UsageError("--dvs-params and --sensor both choose the pixel; give one of them")
        which = old["dvs_params"]
        meant["sensor"] = load_sensor("ideal").with_(name=f"v2e-{which}", **_PARAMS[which])
    files = [
        (old[name] if old[name].suffix else old[name].with_suffix(suffix), format)
        for name, (format, suffix) in _FILES.items()
        if old[name] is not None
    ]
    modern = {name: value for name, value in options.items() if name not in old}
    given = {name: value for name, value in modern.items() if value is not None}
    return modern | meant | given | {"files": files}

"""How smoothly the viewer plays and turns a cloud of a million events, in a Chromium without a window.

    python benchmarks/viewer.py --json viewer.json [--events 1000000] [--seconds 8]

Six swarms of events and noise cross a sensor of 1280x720 in 5 s. The page is opened in a window of 1280x800; the film
plays and the cloud of the whole recording turns by 0.01 rad a frame. Measured are the times between animation frames,
after the first two seconds. `auto` is what users see: where not all events can be drawn in time, of the cloud every
second, fourth, ... is drawn while it moves. `full` draws all of them whatever it takes. Where the browser has no
graphics card, WebGL is a program on the processor; `renderer` says which.
"""

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dvs.events import Recording, make_events
from dvs.viewer import page

if TYPE_CHECKING:
    from playwright.sync_api import Page

_TURN = """async ([drawing, detail, seconds]) => {
  const { viewer } = document.querySelector(".dvs-viewer");
  viewer.set({ drawing, detail, depth: viewer.header.span_us, playing: true });
  const times = [];
  await new Promise((done) => {
    const turn = (now) => {
      times.push(now);
      viewer.set({ yaw: viewer.state.yaw + 0.01 });
      if (now - times[0] < 1e3 * seconds) requestAnimationFrame(turn);
      else done();
    };
    requestAnimationFrame(turn);
  });
  viewer.set({ playing: false });
  const { gl } = viewer;
  const names = gl.getExtension("WEBGL_debug_renderer_info");
  return {
    times,
    share: detail === "auto" ? viewer.detail : 1,
    painter: viewer.painter.constructor.name,
    renderer: gl.getParameter(names ? names.UNMASKED_RENDERER_WEBGL : gl.RENDERER),
  };
}"""


def swarms(events: int, width: int = 1280, height: int = 720) -> Recording:
    """Six swarms on ellipses, a tenth of the events noise, in 5 s."""
    rng = np.random.default_rng(1)
    t_us = np.sort(rng.integers(0, 5_000_000, events))
    swarm = rng.integers(0, 6, events)
    angle = 2 * np.pi * (t_us / 5e6 * (1 + swarm / 3) + swarm / 6)
    x = width / 2 + (180 + 60 * swarm) * np.cos(angle) + rng.normal(0, 14, events)
    y = height / 2 + (110 + 35 * swarm) * np.sin(angle) + rng.normal(0, 14, events)
    noise = rng.random(events) < 0.1
    x = np.where(noise, rng.integers(0, width, events), x).clip(0, width - 1).astype(int)
    y = np.where(noise, rng.integers(0, height, events), y).clip(0, height - 1).astype(int)
    made = make_events(x, y, t_us, rng.integers(0, 2, events))
    return Recording(events=made, width=width, height=height, stop_us=5_000_000)


def turned(shown: "Page", drawing: str, detail: str, seconds: float) -> dict[str, Any]:
    """Frames a second of one way of drawing."""
    seen = shown.evaluate(_TURN, [drawing, detail, seconds])
    times = np.array(seen["times"])
    intervals = np.diff(times[times > times[0] + 2000])
    return {
        "drawing": drawing,
        "detail": detail,
        "frames_per_s": round(1000 / intervals.mean(), 1),
        "median_ms": round(statistics.median(intervals), 1),
        "p95_ms": round(float(np.percentile(intervals, 95)), 1),
        "share_drawn_at_the_end": seen["share"],
        "painter": seen["painter"],
        "renderer": seen["renderer"],
    }


def main() -> None:
    """Measure, print and write."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--card", action="store_true", help="let the browser use the graphics card")
    options = parser.parse_args()
    recording = swarms(options.events)
    began = time.perf_counter()
    text = page(recording, title="Swarms")
    results: dict[str, Any] = {
        "events": options.events,
        "page_s": round(time.perf_counter() - began, 2),
        "page_bytes_per_event": round(len(text) / options.events, 2),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "viewer": [],
    }
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = Path(folder) / "page.html"
        path.write_text(text, encoding="utf-8")
        flags = [] if options.card else ["--enable-unsafe-swiftshader"]
        browser = playwright.chromium.launch(executable_path=program, args=flags)
        results["browser"] = browser.version
        for drawing in ("auto", "card"):
            for detail in ("auto", "full"):
                shown = browser.new_page(viewport={"width": 1280, "height": 800})
                shown.goto(path.as_uri())
                while not shown.evaluate("Boolean(document.querySelector('.dvs-viewer')?.viewer)"):
                    time.sleep(0.1)
                results["viewer"].append(turned(shown, drawing, detail, options.seconds))
                shown.close()
        browser.close()
    print(json.dumps(results, indent=2))
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

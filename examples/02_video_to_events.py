"""A video becomes events, a file and a picture.

The video is a cup moved by a hand (examples/data/README.md says where it is from). Frames are 33 ms apart and the cup
moves by several pixels in that time, so the frames between are made by optical flow first.

    python examples/02_video_to_events.py [--output FOLDER] [--seconds 1.0]
"""

import argparse
from pathlib import Path

import dvs
from dvs.rendering import figure_summary, screen_codes

VIDEO = Path(__file__).parent / "data" / "cup.mp4"


def main() -> None:
    """Convert the video, save the events and the picture, print what there is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("demo-output"))
    parser.add_argument("--seconds", type=float, default=1.0, help="how much of the video")
    options = parser.parse_args()

    video = dvs.open_video(VIDEO, stop_s=options.seconds)
    recording = dvs.emulate(dvs.interpolate(video), sensor="davis346")

    options.output.mkdir(parents=True, exist_ok=True)
    events_file, picture = options.output / "cup.h5", options.output / "cup.png"
    dvs.write(events_file, recording, overwrite=True)
    at_us = recording.stop_us // 2
    frame = min(video, key=lambda timed: abs(timed[0] - at_us))[1]
    figure_summary(recording, screen_codes(frame, video.encoding), at_us=at_us).savefig(picture, dpi=120)
    print(f"{len(recording):,} events in {recording.duration_s:.2f} s; see {events_file} and {picture}")


if __name__ == "__main__":
    main()

"""Video in: one file for each kind of source, `open_video` chooses."""

from dvs.video.source import open_video

__all__ = ["open_video"]

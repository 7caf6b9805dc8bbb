"""The command `dvs`: what can be done with event cameras, each a command of its own."""

import sys
from importlib import import_module

_COMMANDS = {
    "view": ("dvs.viewer.__main__", "look at a recording in the browser"),
    "convert-video": ("dvs.convert_video", "turn videos into events; also a command of its own"),
    "convert-events": ("dvs.convert_events", "turn files of events into others; also a command of its own"),
    "characterise": ("dvs.characterise.__main__", "measure a sensor by its emulated events"),
}


def main() -> None:
    """Run the command that the first word names."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("-h", "--help"):
        print("Usage: dvs COMMAND [OPTIONS]\n\nCommands (dvs COMMAND --help says more):")
        for command, (_, what) in _COMMANDS.items():
            print(f"  {command:<16}{what}")
        return
    if name not in _COMMANDS:
        print(f"dvs: there is no command {name!r}; there are {', '.join(_COMMANDS)}", file=sys.stderr)
        sys.exit(2)
    import_module(_COMMANDS[name][0]).main(args=sys.argv[2:], prog_name=f"dvs {name}")


if __name__ == "__main__":
    main()

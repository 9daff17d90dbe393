"""Many programs talking at one terminal: a coloured name before each line."""

import sys

COLOURS = {"web": 36, "relay": 34, "sweep": 35, "draw": 32, "screen": 33, "vaglio": 1}


class Voices:
    """Writes lines with their speaker's name. Colours are for people, so only for a terminal."""

    def __init__(self) -> None:
        self._colourful = sys.stdout.isatty()
        self._width = max(map(len, COLOURS))
        self._silent = False

    def hush(self) -> None:
        """Say nothing from now on: nobody reads."""
        self._silent = True

    def say(self, speaker: str, line: str) -> None:
        """Print one line. Raises BrokenPipeError when nobody reads any more."""
        if self._silent:
            return
        name = speaker.ljust(self._width)
        if self._colourful:
            name = f"\033[{COLOURS.get(speaker, 37)}m{name}\033[0m"
        print(f"{name} | {line}", flush=True)

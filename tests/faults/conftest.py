"""The fixtures of owners."""

from tests.support.fixtures.owners import clock, play, world

__all__ = ["clock", "play", "world"]

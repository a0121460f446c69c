"""The fixtures of owners, and the model server for programs as processes."""

from tests.support.fixtures.model_server import model_server
from tests.support.fixtures.owners import clock, play, world

__all__ = ["clock", "model_server", "play", "world"]

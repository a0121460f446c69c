"""Whole programs, the scripted model, the real broker and database, and clients in JavaScript."""

from tests.support.fixtures.model_server import model_server
from tests.support.npm import node_modules

__all__ = ["model_server", "node_modules"]

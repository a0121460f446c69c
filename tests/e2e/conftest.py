"""Whole programs, the scripted model, and the real broker and database."""

from tests.support.fixtures.model_server import model_server

__all__ = ["model_server"]

from tests.support.fixtures.effects import ask_model
from tests.support.fixtures.model_server import model_server

__all__ = ["ask_model", "model_server"]

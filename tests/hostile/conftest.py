"""The whole house on a real socket, as for the tests of the api."""

from tests.services.api.conftest import anyio_backend, house, model_server

__all__ = ["anyio_backend", "house", "model_server"]

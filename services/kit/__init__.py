"""How we touch the world. What a library would decide by what else is installed is decided here, before it is imported."""

import os

os.environ.setdefault("OPENAPI_SPEC_VALIDATOR_SCHEMA_VALIDATOR_BACKEND", "jsonschema")

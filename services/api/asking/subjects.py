"""Whose words they are: a pseudonym that the same app's same person always has, and that names nobody."""

import hashlib
import json


def subject_of(app: str, *, uid: str = "", chat: str = "", run: str = "") -> str:
    """The subject of the app's end user; of the chat where no user is named; of the run where there is neither."""
    person = [app, "uid", uid] if uid else [app, "chat", chat] if chat else [app, "run", run]
    return hashlib.sha256(json.dumps(person).encode()).hexdigest()[:32]

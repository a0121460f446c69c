"""Whose variables they are (astron.md 4.9.16): app, person and chat, and the flow that a node names.

A run that names no chat has a pool of its own: strangers who talk without a chat share nothing.
"""

import hashlib

from events.run import RunTerms
from services.core.language.definition import canonical


def pool_of(terms: RunTerms, flow: str) -> str:
    """The pool's name: a digest that tells nobody who it is."""
    alone = "" if terms.chat else terms.run
    return hashlib.sha256(canonical({"of": [terms.app, terms.subject, terms.chat, alone, flow]})).hexdigest()

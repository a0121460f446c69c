"""Errors as `{"detail"}`: a sentence, or the places of a request that are not as they must be, as web clients know them."""

from services.api.answers.wrong import Body, Wrong


def detail(wrong: Wrong) -> Body:
    """The body. Places are `{type, loc, msg}`; what was sent is never repeated."""
    if wrong.faults:
        return {"detail": [{"type": fault.kind, "loc": list(fault.where), "msg": fault.said} for fault in wrong.faults]}
    return {"detail": wrong.message}

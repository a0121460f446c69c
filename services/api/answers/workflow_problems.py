"""Errors of the workflow surfaces (astron.md 1.4): E2 and E4 on chats, E1 and E3 on the routes around them, all at 200.

In comes what is wrong; out goes a body, where the nulls that frames leave out are spelled out.
"""

from services.api.answers.errors import named
from services.api.answers.wrong import PARAM_ERROR, Body, Wrong


def _refused(code: int, message: str, sid: str, created: int, **more: str | int) -> Body:
    """E4: a run that never began. Nulls are spelled out here, unlike in frames."""
    return {
        "code": code,
        "message": message,
        "id": sid,
        "created": created,
        "workflow_step": {"node": None, "seq": 0, "progress": 1.0},
        "choices": [{"delta": {"role": "assistant", "content": "", "reasoning_content": ""}, "index": 0, "finish_reason": "stop"}],
        "usage": {"completion_tokens": 0, "prompt_tokens": 0, "total_tokens": 0},
        "event_data": None,
        **more,
    }


def problem(wrong: Wrong, now: int, id_: str) -> tuple[Body, int]:
    """E2 for a request that was not understood, E4 for one that was refused."""
    sid = f"spf{id_}@hf"
    if wrong.number != PARAM_ERROR:
        return _refused(wrong.number, wrong.message, sid, now // 1000, **named(wrong.number)), wrong.status or 200
    return {"code": PARAM_ERROR, "message": wrong.message, "id": sid, "created": float(now), **named(PARAM_ERROR)}, 200


def envelope_problem(wrong: Wrong, _now: int, id_: str) -> tuple[Body, int]:
    """E1 and E3: the routes around the chats."""
    body = {"code": wrong.number, "message": wrong.message, "sid": f"spf{id_}@hf", **named(wrong.number)}
    return body, 200 if wrong.number == PARAM_ERROR else wrong.status or 200

"""The one answer of a leg that is not streamed (astron.md 3.6): its frames, put together.

In come a leg's frames in order; out comes the last one with all the text, once it came.
"""

from dataclasses import dataclass

from services.api.dialects.astron import Frame


@dataclass
class Whole:
    """All text of the leg on the final or the interrupt frame. `as_message` says it beside `delta` as OpenAI does."""

    as_message: bool = False
    content: str = ""
    reasoning: str = ""

    def add(self, frame: Frame) -> Frame | None:
        """Take the next frame; the answer once the last one came. A failed run answers no text."""
        choice = frame["choices"][0]
        self.content += choice["delta"]["content"]
        self.reasoning += choice["delta"]["reasoning_content"]
        if "finish_reason" not in choice:
            return None
        step = {} if frame.get("workflow_step", {"seq": 1})["seq"] else {"workflow_step": frame["workflow_step"]}
        delta = _said("", "") if frame["code"] else _said(self.content, self.reasoning)
        head = {name: frame[name] for name in ("code", "message", "id", "created")}
        more = {"message": delta} if self.as_message else {}
        last = {name: frame[name] for name in ("usage", "event_data") if name in frame}
        return {**head, **step, "choices": [{**choice, "delta": delta, **more}], **last}


def _said(content: str, reasoning: str) -> Frame:
    return {"role": "assistant", "content": content, "reasoning_content": reasoning}

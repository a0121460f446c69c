"""Function calls of a model, put together from the fragments in which they are streamed.

In come fragments by number; out go whole calls in the order of their numbers. What no honest model sends (hundreds of
calls, megabytes of arguments, a call without a name) is a `ModelFailed`.
"""

from collections.abc import Iterator

from services.kit.models.port import Fragment, FunctionCall, ModelFailed

MAX_CALLS = 128
MAX_CHARACTERS = 1_000_000


class Calls:
    """What was called so far."""

    def __init__(self) -> None:
        self._calls: dict[int, list[Fragment]] = {}
        self._length = 0

    def add(self, fragment: Fragment) -> None:
        """One more fragment. Raises `ModelFailed` beyond the limits."""
        self._calls.setdefault(fragment.number, []).append(fragment)
        self._length += len(fragment.arguments)
        if len(self._calls) > MAX_CALLS or self._length > MAX_CHARACTERS:
            raise ModelFailed(f"the model called more than {MAX_CALLS} functions, or wrote very long arguments", kind="protocol")

    def __bool__(self) -> bool:
        return bool(self._calls)

    def whole(self) -> Iterator[FunctionCall]:
        """The calls. Raises `ModelFailed` for one without a name."""
        for number, fragments in sorted(self._calls.items()):
            name = next((one.name for one in fragments if one.name), "")
            if not name:
                raise ModelFailed("the model called a function without saying its name", kind="protocol")
            id_ = next((one.id for one in fragments if one.id), f"call_{number}")
            yield FunctionCall(id_, name, "".join(one.arguments for one in fragments))

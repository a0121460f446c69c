"""Tools get versions that are never overwritten."""

from events.commands import RemoveTool, StoreTool
from events.refusal import CommandRefused
from events.tool import ToolRemoved, ToolStored
from services.core.deciders.tool import TOOL
from tests.support.samples import DIGEST, full
from tests.support.spec import given

STORED = full(ToolStored)
STORE = full(StoreTool)
REMOVE = RemoveTool(tool="weather", app="demo")


def refused(wish: str, message: str) -> CommandRefused:
    return CommandRefused(wished=wish, target="tool-demo/weather", code=20805, message=message)


def test_a_version_is_stored_and_storing_it_again_changes_nothing():
    given(TOOL).when(STORE).then(STORED)
    given(TOOL, STORED).when(STORE).then(STORED)
    assert given(TOOL, STORED).after(STORE).state == given(TOOL, STORED).state


def test_a_version_never_gets_another_content():
    other = full(StoreTool, definition=DIGEST[::-1])
    given(TOOL, STORED).when(other).then(refused("tool.store", "version: V1.0 is there with other content; choose a new version"))
    newer = full(StoreTool, definition=DIGEST[::-1], tool_version="V2")
    given(TOOL, STORED).when(newer).then(full(ToolStored, definition=DIGEST[::-1], tool_version="V2"))


def test_a_tool_keeps_its_kind():
    other = full(StoreTool, kind="mcp", tool_version="V2")
    said = "kind: this tool is of the kind openapi; remove it first or choose another id"
    given(TOOL, STORED).when(other).then(refused("tool.store", said))


def test_a_removed_tool_leaves_its_id_free():
    given(TOOL, STORED).when(REMOVE).then(ToolRemoved(by="demo"))
    given(TOOL).when(REMOVE).then(refused("tool.remove", "tool: this app has no such tool"))
    other = full(StoreTool, kind="mcp", definition=DIGEST[::-1])
    given(TOOL, STORED, ToolRemoved(by="demo")).when(other).then(full(ToolStored, kind="mcp", definition=DIGEST[::-1]))

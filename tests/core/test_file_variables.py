"""Parameters that are links to files: what is said of them before anybody is asked, and what the run waits for."""

from typing import Any

import pytest

from services.core.running.effects import Done, FilesRequest
from tests.support.flows import at, end, flow, start
from tests.support.spec import Story, told

PDF = "https://files.example/a.pdf"


def document(*, required: bool = False, array: bool = False, **mark: Any) -> dict[str, Any]:
    schema = {"type": "array", "items": {"type": "string"}} if array else "string"
    made = flow(start(q="string", doc=schema, required=("doc",) if required else ()), end("{{q}}", q=at("start.q")), edges="start > end")
    made["data"]["nodes"][0]["data"]["outputs"][1].update({"fileType": "file", "allowedFileType": ["pdf"], **mark})
    return made


@pytest.mark.parametrize(
    ("mark", "given", "code", "says"),
    [
        ({"required": True}, {}, 23602, "doc: this file is required"),
        ({"required": True}, {"doc": ""}, 23602, "doc: this file is required"),
        ({"required": True, "array": True}, {"doc": []}, 23602, "doc: this file is required"),
        ({"fileType": "folder"}, {"doc": PDF}, 23602, "doc: its fileType must be file"),
        ({"allowedFileType": ["sound"]}, {"doc": PDF}, 23602, "doc: its allowedFileType must be a list of image, pdf"),
        ({"allowedFileType": "pdf"}, {"doc": PDF}, 23602, "doc: its allowedFileType must be a list"),
        ({}, {"doc": 7}, 23602, "doc: expected the address of a file"),
        ({"array": True}, {"doc": [PDF, 7]}, 23602, "doc: expected the address of a file"),
        ({"array": True}, {"doc": [PDF] * 51}, 23602, "at most 50 files"),
        ({}, {"doc": "https://files.example/a.png"}, 23601, "doc: the address must end in one of pdf"),
        ({}, {"doc": "https://files.example/a.exe?x=.pdf#.pdf"}, 23601, "doc: the address must end in one of pdf"),
        ({}, {"doc": "https://files.example/pdf"}, 23601, "doc: the address must end in one of pdf"),
        ({}, {"doc": "file:///etc/a.pdf"}, 23603, "doc: expected an address such as https://"),
        ({}, {"doc": "a.pdf"}, 23603, "doc: expected an address"),
        ({}, {"doc": "https://[::1/a.pdf"}, 23603, "doc: expected an address"),
        ({}, {"doc": "https://h/a\r\nHost: b.pdf"}, 23603, "doc: expected an address"),
        ({}, {"doc": "https://h/" + "a" * 9_000 + ".pdf"}, 23603, "doc: expected an address"),
        ({}, {"doc": PDF, "other": 1}, 22500, "unknown key"),
    ],
)
def test_a_wrong_file_variable_ends_the_run_before_its_first_node(mark: dict[str, Any], given: dict[str, Any], code: int, says: str):
    run = told(document(**mark), **given)
    assert run.told == ["run.started", "node.failed start", "run.failed start"]
    assert run.last.code == code
    assert says in run.last.message


def test_a_link_is_looked_at_before_the_run_goes_on_and_never_again():
    story = Story(document()).start(q="x", doc=PDF)
    assert story.told == ["run.started", "node.started start"]
    assert story.asked("start") == FilesRequest("demo", (("doc", PDF),), 60_000)
    story.tell("start", Done(outputs={}))
    assert story.outputs("start") == {"q": "x", "doc": PDF}
    assert story.text == "x"


def test_an_absent_file_that_is_not_required_asks_nobody():
    run = told(document(), q="x")
    assert (run.outputs("start"), run.text) == ({"q": "x", "doc": ""}, "x")

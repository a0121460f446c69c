"""What every answer has to be beside its document: loaded by schemathesis, one function per sentence."""

import json

import schemathesis
from schemathesis import Case, CheckContext, Response
from schemathesis.specs.openapi.checks import negative_data_rejection

WANTED_5XX = ("Error preparing retriever: ", "is set up here", "is not set up")
"""What the documents answer 500 and 503 to: providers that there are not, models without an account."""
SLOW_S = 5.0
CODES_IN_BODY = ("/workflow/v1/", "/agent/v1/")


@schemathesis.check
def fails_only_as_documents_want_it(_context: CheckContext, response: Response, _case: Case) -> None:
    if response.status_code >= 500:
        assert any(words in response.text for words in WANTED_5XX), "a 5xx that no document wants"


@schemathesis.check
def tells_nothing_of_the_inside(_context: CheckContext, response: Response, _case: Case) -> None:
    assert "Traceback" not in response.text
    assert "site-packages" not in response.text


@schemathesis.check
def answers_soon(_context: CheckContext, response: Response, _case: Case) -> None:
    assert response.elapsed < SLOW_S


@schemathesis.check
def has_a_code_for_what_it_refuses(context: CheckContext, response: Response, case: Case) -> None:
    """Where the status is 200 in any case, what breaks the document is refused by the code in the body."""
    if response.status_code == 200 and case.path.startswith(CODES_IN_BODY):
        text = response.text.removeprefix("data: ").split("\n\n", 1)[0]
        if json.loads(text).get("code") == 0:
            negative_data_rejection(context, response, case)

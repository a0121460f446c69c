"""The table of errors: symbol, code of the running system, codes in the documents, HTTP status, meaning, what to do.

`GET /v1/errors` serves it, error answers take `symbol` and `doc_code` from it. A code that is not listed has no symbol.
"""

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any, cast

from services.api.answers.advice import advice


@dataclass(frozen=True, slots=True)
class Entry:
    """One error. `documents` maps a document's number (000, 001, 003) to the code it gives."""

    symbol: str
    code: int
    message: str
    documents: Mapping[str, int] = field(default_factory=dict[str, int])
    status: int = 200

    @property
    def advice(self) -> str:
        """What to do about it."""
        return advice(self.code)

    @property
    def doc_code(self) -> int | None:
        """The code of the documents: 003's before 000's before 001's."""
        return next((self.documents[one] for one in ("003", "000", "001") if one in self.documents), None)

    def shown(self) -> dict[str, Any]:
        """As `GET /v1/errors` shows it."""
        said = {"symbol": self.symbol, "code": self.code, "message": self.message, "documents": dict(self.documents)}
        return {**said, "doc_code": self.doc_code, "status": self.status, "advice": self.advice}


DOCUMENTED: ContextVar[bool] = ContextVar("documented", default=False)
"""Whether the request at hand is answered with the documents' codes (`error_codes = documented`); set once a request."""


_ROWS = """
460 PARAM_ERROR The request is not as it must be | 000=40002
20000 APP_NOT_FOUND_ERROR Application not found | 000=40101
20001 APP_GET_WITH_REMOTE_FAILED_ERROR Application lookup failed
20002 APP_TENANT_NOT_FOUND_ERROR The application is not a tenant | 003=1005
20003 APP_TENANT_PLATFORM_UNAUTHORIZED_ERROR The tenant has no right on this platform | 000=40301
20004 APP_FLOW_NOT_AUTH_BOND_ERROR The application is not bound to the flow | 000=40301
20005 APP_FLOW_NO_LICENSE_ERROR The application's licence for the flow is off | 000=40301
20006 APP_PLAT_NOT_RELEASE_OP_ERROR The platform does not offer this operation
20007 APP_FLOW_AUTH_BOND_ERROR Binding failed | 003=1007
20100 PROTOCOL_VALIDATION_ERROR The flow document is invalid | 000=40002
20101 PROTOCOL_BUILD_ERROR Building failed | 000=50101
20102 PROTOCOL_CREATE_ERROR Creating the flow failed
20103 PROTOCOL_DELETE_ERROR Deleting the flow failed
20104 PROTOCOL_UPDATE_ERROR Updating the flow failed
20201 FLOW_NOT_FOUND_ERROR Flow ID not found | 003=1006
20202 FLOW_ID_TYPE_ERROR The flow id is of the wrong type
20204 FLOW_NOT_PUBLISH_ERROR The flow is not published | 000=40001 003=1001
20205 FLOW_NO_APP_ID_ERROR The flow has no application
20206 FLOW_PUBLISH_ERROR Publishing failed | 003=1004
20207 OPEN_API_FLOW_STATUS_ERROR The flow is a draft
20208 FLOW_VERSION_ERROR The version is missing
20209 FLOW_GET_ERROR Reading the flow failed
20301 SPARK_FUNCTION_NOT_CHOICE_ERROR The model chose no function
20302 SPARK_QUICK_REPAIR_ERROR The model's content was intervened on
20303 SPARK_REQUEST_ERROR The model did not answer
20350 SPARK_WS_ERROR The model's connection could not be upgraded
20351 SPARK_WS_READ_ERROR Reading from the model failed
20352 SPARK_WS_SEND_ERROR Sending to the model failed
20353 SPARK_MESSAGE_FORMAT_ERROR The message format is wrong
20354 SPARK_SCHEMA_ERROR The data schema is wrong
20355 SPARK_PARAM_ERROR A parameter value is wrong
20356 SPARK_CONCURRENCY_ERROR The same user is connected twice
20357 SPARK_TRAFFIC_LIMIT_ERROR The previous question is still running
20358 SPARK_CAPACITY_ERROR The model has no capacity
20359 SPARK_ENGINE_CONNECTION_ERROR The model's engine cannot be reached
20360 SPARK_ENGINE_RECEIVE_ERROR Receiving from the model's engine failed
20361 SPARK_ENGINE_SEND_ERROR Sending to the model's engine failed
20362 SPARK_ENGINE_INTERNAL_ERROR The model's engine failed
20363 SPARK_CONTENT_AUDIT_ERROR The model refused the input
20364 SPARK_OUTPUT_AUDIT_ERROR The model refused its output
20365 SPARK_APP_ID_BLACKLIST_ERROR The application is blocked
20366 SPARK_APP_ID_AUTH_ERROR The application has no right or no quota
20367 SPARK_CLEAR_HISTORY_ERROR Clearing the history failed
20368 SPARK_VIOLATION_ERROR The session tends to violate rules
20369 SPARK_BUSY_ERROR The model is busy
20370 SPARK_ENGINE_PARAMS_ERROR The engine's parameters are wrong
20371 SPARK_ENGINE_NETWORK_ERROR The engine's network failed
20372 SPARK_TOKEN_LIMIT_ERROR Too many tokens
20373 SPARK_AUTH_ERROR The feature is not authorised
20374 SPARK_DAILY_LIMIT_ERROR The daily limit is reached
20375 SPARK_SECOND_LIMIT_ERROR The limit per second is reached
20376 SPARK_CONCURRENCY_LIMIT_ERROR The concurrency limit is reached
20380 OPEN_AI_REQUEST_ERROR The external model failed
20500 KNOWLEDGE_REQUEST_ERROR The knowledge request failed
20501 KNOWLEDGE_NODE_EXECUTION_ERROR The knowledge node failed
20502 KNOWLEDGE_PARAM_ERROR The knowledge parameters are wrong
20600 VARIABLE_POOL_GET_PARAMETER_ERROR A variable cannot be read
20601 VARIABLE_POOL_SET_PARAMETER_ERROR A variable cannot be written
20602 VARIABLE_PARSE_ERROR A variable's name cannot be read
20804 OPEN_API_STREAM_QUEUE_TIMEOUT_ERROR Nothing came for too long | 000=50301
20805 OPEN_API_ERROR The request failed | 003=1002
20900 MASDK_LICC_LIMIT_ERROR Metering: not authorised
20901 MASDK_OVER_LIMIT_ERROR Metering: the total or daily limit is reached
20902 MASDK_OVER_QPS_LIMIT_ERROR The limit of requests in a time is reached | 001=1003
20903 MASDK_OVER_CONC_LIMIT_ERROR The limit of requests at once is reached | 001=1003
20904 MASDK_CONNECT_ERROR Metering cannot be reached
20905 MASDK_UNKNOWN_ERROR Metering failed
21000 PG_SQL_REQUEST_ERROR The database request failed
21001 PG_SQL_NODE_EXECUTION_ERROR The database node failed
21002 PG_SQL_PARAM_ERROR The database node's parameters are wrong
21100 AUDIT_ERROR The content audit failed | 000=50201
21101 AUDIT_SERVER_ERROR The audit service failed | 000=50201
21102 AUDIT_INPUT_ERROR The input was refused | 000=50201
21103 AUDIT_OUTPUT_ERROR The output was refused | 000=50201
21104 AUDIT_QA_ERROR The question to the person was refused | 000=50201
21600 CODE_EXECUTION_ERROR The code failed
21601 CODE_BUILD_ERROR The code has no main
21602 CODE_NODE_RESULT_TYPE_ERROR The code's result has the wrong type
21603 CODE_EXECUTION_TIMEOUT_ERROR The code took too long
21700 NODE_DEBUG_ERROR Debugging the node failed
21800 SPARK_LINK_ACTION_ERROR The tool failed
21801 SPARK_LINK_APP_INIT_ERROR The tool service could not begin
21802 SPARK_LINK_JSON_PROTOCOL_PARSER_ERROR The tool's protocol is no JSON
21803 SPARK_LINK_JSON_SCHEMA_VALIDATE_ERROR The tool's protocol is invalid
21804 SPARK_LINK_OPENAPI_SCHEMA_VALIDATE_ERROR The tool's OpenAPI document is invalid
21805 SPARK_LINK_OPENAPI_SCHEMA_BODY_TYPE_NOT_SUPPORT_ERROR The tool's type of body is not supported
21806 SPARK_LINK_OPENAPI_SCHEMA_SERVER_NOT_EXIST_ERROR The tool's document names no server
21807 SPARK_LINK_OFFICIAL_THIRD_API_REQUEST_FAILED_ERROR The official tool failed
21808 SPARK_LINK_TOOL_NOT_EXIST_ERROR There is no such tool
21809 SPARK_LINK_OPERATION_ID_NOT_EXIST_ERROR The tool has no such operation
21810 SPARK_LINK_CONNECTION_ERROR The tool cannot be reached
21811 SPARK_LINK_EXECUTE_ERROR The tool could not be run
21812 SPARK_LINK_THIRD_API_REQUEST_FAILED_ERROR The third party's tool failed
21900 EXTRACT_EXECUTION_ERROR Extracting parameters failed
22100 ENG_PROTOCOL_VALIDATE_ERROR The flow is invalid
22101 ENG_NODE_PROTOCOL_VALIDATE_ERROR A node is invalid
22300 ENG_BUILD_ERROR The engine could not be built | 000=50101
22301 ENG_RUN_ERROR The engine failed | 000=50001
22302 NODE_RUN_ERROR A node failed | 000=50001
22500 START_NODE_SCHEMA_ERROR The start parameters are wrong
22600 END_NODE_SCHEMA_ERROR The end node's values are wrong
22601 END_NODE_EXECUTION_ERROR The end node failed
22701 MESSAGE_NODE_EXECUTION_ERROR The message node failed
22801 WORKFLOW_EXECUTION_ERROR The sub-workflow failed
22802 WORKFLOW_EXEC_RESP_FORMAT_ERROR The sub-workflow's answer cannot be read
22900 VARIABLE_NODE_EXECUTION_ERROR The variable node failed
23100 IF_ELSE_NODE_EXECUTION_ERROR The branch node failed
23200 ITERATION_EXECUTION_ERROR The iteration failed
23300 LLM_NODE_EXECUTION_ERROR LLM node execution failed
23400 PLUGIN_NODE_EXECUTION_ERROR The plugin failed
23500 TEXT_JOINER_NODE_EXECUTION_ERROR The text joiner failed
23601 FILE_INVALID_ERROR The file was refused | 003=1008
23602 FILE_VARIABLE_PROTOCOL_ERROR The file variable is wrong
23603 FILE_INVALID_TYPE_ERROR The file's link is wrong
23604 FILE_STORAGE_ERROR The file could not be stored | 003=1009
23700 AGENT_NODE_EXECUTION_ERROR The agent failed
23800 QUESTION_ANSWER_NODE_EXECUTION_ERROR The question node failed
23801 QUESTION_ANSWER_NODE_PROTOCOL_ERROR The question's settings are wrong
23802 QUESTION_ANSWER_RESUME_DATA_ERROR The answer cannot be used
23803 QUESTION_ANSWER_HANDLER_RESPONSE_ERROR The answer could not be understood
23900 EVENT_REGISTRY_NOT_FOUND_ERROR The event is unknown, expired or not paused | 003=1003
23901 EVENT_BUSY_ERROR The event is being resumed by another request
40001 BOT_CONFIG_GET_ERROR The bot's configuration cannot be read
40002 REQUEST_VALIDATION_ERROR The request is not as it must be | 001=1001
40003 BOT_CONFIG_INVALID_ERROR The bot's configuration is invalid
40004 FLOW_REQUEST_ERROR The flow did not answer
40005 LINK_REQUEST_ERROR The tool platform did not answer
40006 API_MESSAGE_ERROR The message of the interface is wrong
40022 REASONING_FORMAT_ERROR The model's reasoning has the wrong form
40023 TOOL_PROTOCOL_ERROR The tool's protocol cannot be fetched
40024 TOOL_RUN_ERROR The tool failed
40025 KNOWLEDGE_QUERY_ERROR The knowledge base did not answer
40026 MCP_PROTOCOL_ERROR The MCP server's protocol cannot be fetched
40027 MCP_RUN_ERROR The MCP tool failed
40028 WORKFLOW_TOOL_ERROR The flow failed as a tool | 001=1004
40029 MODEL_CALL_ERROR The model's call failed
40040 APP_AUTH_ERROR The application or its key is not right | 001=1002
40050 BOT_CONFIG_ADD_ERROR Creating the bot failed
40051 BOT_CONFIG_DELETE_ERROR Removing the bot failed
40052 BOT_CONFIG_UPDATE_ERROR Changing the bot failed
40053 BOT_CONFIG_EXISTS_ERROR The bot exists
40500 AGENT_INTERNAL_ERROR The agent failed | 001=1006
"""


def _entry(row: str) -> Entry:
    text, _, documents = row.partition(" | ")
    code, symbol, message = text.split(" ", 2)
    pairs = (pair.partition("=") for pair in documents.split())
    return Entry(symbol, int(code), message, {document: int(number) for document, _, number in pairs})


AGENTS = 20_000
"""What lies between a model's error in a workflow (203xx) and the same error in an agent (403xx)."""
_BASIC: Mapping[int, Entry] = {entry.code: entry for entry in map(_entry, _ROWS.strip().splitlines())}
OF_MODELS = frozenset({20301, 20303, *range(20350, 20377)})
_OF_AGENTS = [
    replace(entry, code=code + AGENTS, symbol=f"AGENT_{entry.symbol}", documents={}) for code, entry in _BASIC.items() if code in OF_MODELS
]
TABLE: Mapping[int, Entry] = {**_BASIC, **{entry.code: entry for entry in _OF_AGENTS}}


def named(code: int) -> dict[str, str | int]:
    """What an error answer says beside its code: `symbol`, and `doc_code` where a document gives one."""
    entry = TABLE.get(code)
    if entry is None:
        return {}
    return {"symbol": entry.symbol} if entry.doc_code is None else {"symbol": entry.symbol, "doc_code": entry.doc_code}


def numbered(body: object) -> object:
    """An answer or frame with `code` and `doc_code` swapped where the documents' codes are wanted."""
    if not isinstance(body, dict) or "doc_code" not in body or not DOCUMENTED.get():
        return cast("object", body)
    said: dict[str, Any] = {**body}
    return {**said, "code": said["doc_code"], "doc_code": said["code"]}

"""The flow document as clients write it (astron.md 4.1-4.3, 4.7): shapes only.

In comes JSON; out go typed nodes and edges, or a `Problem` that names the place. Editor fields are ignored.
"""

from typing import Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, JsonValue, ValidationError

from services.core.codes import Code
from services.core.problems import Problem


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class Reference(_Part):
    """Points at an output of another node; `name` may be a dotted path."""

    node: str = Field(alias="nodeId")
    name: str


class ReferenceValue(_Part):
    """An input that takes another node's output."""

    type: Literal["ref"]
    content: Reference


class LiteralValue(_Part):
    """An input with its value in the document."""

    type: Literal["literal"]
    content: JsonValue = None


class InputSchema(_Part):
    """Declared type and where the value comes from."""

    type: Literal["string", "boolean", "integer", "number", "array", "object"]
    value: ReferenceValue | LiteralValue = Field(discriminator="type")


class InputPart(_Part):
    """One input of a node."""

    id: str = ""
    name: str = Field(min_length=1)
    schema_: InputSchema = Field(alias="schema")


class OutputPart(_Part):
    """One output of a node: a name and a JSON Schema. The last two mark a start node's file variable; its run says what is wrong there."""

    id: str = ""
    name: str = Field(min_length=1)
    required: bool = False
    schema_: dict[str, JsonValue] = Field(alias="schema")
    file_type: JsonValue = Field(default=None, alias="fileType")
    allowed: JsonValue = Field(default=None, alias="allowedFileType")


class NodeMeta(_Part):
    """What people see of a node."""

    node_type: str = Field(alias="nodeType")
    alias: str = Field(alias="aliasName")


class RetryConfig(_Part):
    """What happens when a node fails; both spellings of every key (4.7). `timeout` in seconds.

    `retryInterval` is ours: seconds before the second attempt, twice as many before each further one; 0 = at once.
    """

    timeout: float = Field(default=60, gt=0)
    should_retry: bool = Field(default=False, validation_alias=AliasChoices("should_retry", "shouldRetry"))
    max_retries: int = Field(default=0, ge=0, le=100, validation_alias=AliasChoices("max_retries", "maxRetries"))
    interval: float = Field(default=0, ge=0, le=300, validation_alias=AliasChoices("retry_interval", "retryInterval"))
    error_strategy: Literal[0, 1, 2] = Field(default=0, validation_alias=AliasChoices("error_strategy", "errorStrategy"))
    custom_output: dict[str, JsonValue] = Field(
        default_factory=dict[str, JsonValue], validation_alias=AliasChoices("custom_output", "customOutput")
    )


class NodeData(_Part):
    """Everything of a node but its id."""

    meta: NodeMeta = Field(alias="nodeMeta")
    inputs: tuple[InputPart, ...] = ()
    outputs: tuple[OutputPart, ...] = ()
    param: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue], alias="nodeParam")
    retry: RetryConfig = Field(default_factory=RetryConfig, alias="retryConfig")


class NodePart(_Part):
    """A node: the text before the first colon of its id is its kind."""

    id: str = Field(pattern=r"^.*::[0-9a-zA-Z-]+")
    data: NodeData

    @property
    def kind(self) -> str:
        """The node kind's name."""
        return self.id.partition(":")[0]


class EdgePart(_Part):
    """An edge and the handle it leaves from."""

    source: str = Field(alias="sourceNodeId")
    target: str = Field(alias="targetNodeId")
    handle: str = Field(default="", alias="sourceHandle")


class GraphPart(_Part):
    """Nodes and edges."""

    nodes: tuple[NodePart, ...]
    edges: tuple[EdgePart, ...]


class DocumentPart(_Part):
    """The whole document; the engine reads only `data`."""

    data: GraphPart


def read(document: object) -> GraphPart:
    """The typed graph of a document. Raises 20100 naming each place that is wrong and what was expected there."""
    try:
        return DocumentPart.model_validate(document).data
    except ValidationError as wrong:
        raise Problem(Code.PROTOCOL_VALIDATION_ERROR, told(wrong)) from None


def told(wrong: ValidationError) -> str:
    """The first few errors, one a line, without the input."""
    errors = wrong.errors(include_url=False, include_input=False, include_context=False)
    lines = [f"{'.'.join(map(str, error['loc']))[:300]}: {error['msg'][:300]}" for error in errors[:5]]
    if len(errors) > len(lines):
        lines.append(f"and {len(errors) - len(lines)} more")
    return "\n".join(lines)

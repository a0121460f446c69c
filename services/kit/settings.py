"""Settings: read once in a program's `__main__` or in the command line, passed down, never imported as a global.

In come options and the environment; out goes one frozen value. Every field says what it does, its unit, and why this
default. Environment names are `PROZESS_` and the field in capitals (`OPENAI_…` for the model endpoint, as its own
clients have it); lists are written with commas. What is wrong is said in one sentence that names the variable and
never repeats its value.
"""

from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, SettingsError

from services.kit.documented import PROFILE, outside
from services.kit.errors import Refused

PREFIX = "PROZESS_"
LOOPBACK = ("127.0.0.0/8", "::1/128")


def _commas(value: object) -> Any:
    """`a, b` from the environment; lists from code pass."""
    if isinstance(value, str):
        return tuple(part for part in (text.strip() for text in value.split(",")) if part)
    return value


def _home(path: Path) -> Path:
    return path.expanduser()


def _networks(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        try:
            ip_network(name, strict=False)
        except ValueError:
            raise ValueError("every part should be an address or a network such as 10.0.0.0/8") from None
    return names


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_commas)]
Place = Annotated[Path, AfterValidator(_home)]


class Settings(BaseSettings):
    """What all programs share; each program reads the part it needs."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="ignore", populate_by_name=True, frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _of_profile(cls, given: Any) -> Any:
        wanted = cast("dict[str, Any]", given)
        return {**PROFILE, **wanted} if wanted.get("profile") == "documented" else wanted

    @model_validator(mode="after")
    def _in_its_ranges(self) -> Self:
        name, wanted = outside(self.__dict__, self.model_fields_set) if self.profile == "documented" else ("", "")
        for larger, smaller in (("database_max_size", "database_min_size"), ("max_connections", "pool_size")):
            if getattr(self, larger) < getattr(self, smaller):
                name, wanted = larger, f"at least {variable(smaller)}"
        if name:
            raise ValueError(f"{variable(name)} is not right: input should be {wanted}")
        return self

    # Where everything is
    data: Place = Field(Path("data"), description="Folder of the embedded log, the rows, the blobs and the master key.")
    kafka: str = Field("", description="Bootstrap servers of Apache Kafka, comma separated; empty: the embedded log in the data folder.")
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="How to speak with the brokers: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL."
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "PLAIN", description="PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; read only with a SASL protocol."
    )
    kafka_sasl_username: str = Field("", description="User for SASL.")
    kafka_sasl_password: str = Field("", description="Password for SASL.", repr=False)
    kafka_ssl_cafile: Place | None = Field(None, description="Certificate authority that signed the brokers' certificates.")
    kafka_ssl_certfile: Place | None = Field(None, description="This program's certificate.")
    kafka_ssl_keyfile: Place | None = Field(None, description="The key of that certificate.")
    topic_prefix: str = Field(
        "",
        pattern=r"^[A-Za-z0-9._-]{0,100}$",
        description="Put before every topic's and group's name, so that several deployments can share a broker.",
    )
    partitions: int = Field(
        8,
        ge=1,
        le=4096,
        description="Partitions of commands and events; fixed for the life of a cluster. As many processors as these can share the work.",
    )
    durability: Literal["replicated", "single"] = Field(
        "replicated", description="`replicated`: two brokers must have every event; `single`: one is enough (dev and tests)."
    )
    database: str = Field("", description="SQLAlchemy URL of the rows; empty: SQLite in the data folder.", repr=False)
    database_min_size: int = Field(10, ge=1, le=1000, description="Connections to PostgreSQL that one program keeps open.")
    database_max_size: int = Field(30, ge=1, le=1000, description="Connections to PostgreSQL that one program has at most.")
    database_max_queries: int = Field(50_000, ge=1, description="Statements after which such a connection is made anew.")
    database_idle_s: float = Field(300.0, ge=1, le=86_400, description="Idle time after which such a connection is made anew, in seconds.")
    master_key: str = Field(
        "",
        description="Master key of the secrets, 64 hexadecimal digits; older ones, still read, behind it after commas. Wins over the file.",
        repr=False,
    )
    master_key_file: Place | None = Field(
        None,
        description="File with that key, older ones in further lines; default: `master.key` in the data folder, made at first use.",
    )

    profile: Literal["", "documented"] = Field(
        "", description="`documented`: the limits of documents 000 and 001 for every setting that is not given by itself."
    )

    runtime_env: str = Field(
        "",
        validation_alias="RUNTIME_ENV",
        pattern=r"^[a-z_-]{0,32}$",
        description="`dev` or `test`: open runs keep the credentials of their nodes; else the calling app's take their place.",
    )

    # The api
    host: str = Field("127.0.0.1", description="Address the api listens on. Loopback, until somebody decides otherwise.")
    port: int = Field(8080, ge=0, le=65535, description="Port the api listens on; 0 takes a free one.")
    trusted_proxies: Annotated[Names, AfterValidator(_networks)] = Field(
        (), description="Addresses or networks whose `x-consumer-username` is believed; by default nobody's."
    )
    cors_origins: Names = Field((), description="Origins of browsers that may call; `*` for any; by default none.")
    ping_s: float = Field(15.0, ge=5, le=30, description="Silence after which a workflow stream sends a ping, in seconds.")
    agent_ping_s: float = Field(30.0, ge=5, le=60, description="Silence after which streams of bots send a sign of life, in seconds.")
    sockets: int = Field(2_000, ge=1, description="WebSockets of one api at once; one more is closed with 4429. Each takes a file handle.")
    max_concurrent_requests: int = Field(
        2_000, ge=1, le=1_000_000, description="Requests of one api at once that are no streams; one more gets 429."
    )
    max_streaming_connections: int = Field(0, ge=0, description="Streams of one api at once; 0: as many as there are file handles.")
    max_workflow_executions: int = Field(0, ge=0, description="Runs at work that one api started; 0: as many as there are streams.")
    max_history_fetches: int = Field(200, ge=1, description="Past runs that one api reads at once; one more gets 429.")
    app_rate: str = Field("", description="How often one app may call one api, such as 600/minute; empty: as often as it likes.")
    app_requests: int = Field(0, ge=0, description="Requests and streams of one app at one api at once; 0: the instance's limits only.")
    app_executions: int = Field(0, ge=0, description="Runs at work of one app that one api started; 0: the instance's limit only.")
    idle_close_s: float = Field(600.0, ge=1, le=1800, description="How long a client may take nothing of its stream, in seconds.")
    request_read_s: float = Field(60.0, ge=1, le=1800, description="How long a request's body may take to arrive, in seconds.")
    keep_alive_timeout_s: float = Field(
        60.0, ge=1, le=3600, description="How long an idle connection is kept, a client's as well as ours to models and tools, in seconds."
    )
    pool_size: int = Field(200, ge=1, le=10_000, description="Idle connections to tools and services that one program keeps.")
    max_connections: int = Field(2_000, ge=1, le=100_000, description="Connections to models, and to tools, that one program has at most.")
    write_wait_s: float = Field(10.0, gt=0, le=600, description="How long an answer waits for its command's events and rows, in seconds.")
    max_body_bytes: int = Field(8 * 1024 * 1024, ge=1024, description="Largest request body, in bytes; half of what the log takes.")
    files: str = Field("", description="Object store of uploaded files (s3://bucket/folder); empty: a folder beside the data.", repr=False)
    file_max_bytes: int = Field(52_428_800, ge=1, description="Largest uploaded file, in bytes (FILE_SIZE_LIMIT of the original).")
    file_types: Names = Field(
        _commas("pdf,png,jpg,jpeg,bmp,doc,docx,ppt,pptx,xls,xlsx,csv,txt,wav,mp3,flac,m4a,aac,ogg,wma,midi"),
        description="Extensions that are taken (SUPPORT_FILE_TYPE of the original).",
    )
    files_at_once: int = Field(10, ge=1, le=100, description="Files in one upload.")
    file_link_s: int = Field(7 * 86_400, ge=60, description="How long a link to an uploaded file lasts, in seconds.")
    error_codes: Literal["running", "documented"] = Field(
        "running",
        description="`running`: `code` is the running system's; `documented`: that of 000, 001 and 003 where they give one.",
    )
    public_url: str = Field("", description="Address under which callers reach the api, for links; empty: as the caller called it.")
    metrics_port: int = Field(
        0, ge=0, le=65535, description="Port of /metrics and /health in programs other than the api; 0: none. On the address of `host`."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="The least that is logged.")
    log_format: Literal["auto", "json", "text"] = Field(
        "auto", description="`json`: one object a line; `text`: words; `auto`: words on a terminal, JSON elsewhere."
    )
    log_folder: Place | None = Field(
        None, description="Folder for a log file named after the program, for one program of that name; empty: standard error."
    )
    log_rotation_mb: float = Field(10.0, ge=0.01, le=10_000, description="Size at which a log file is put aside, in MB.")
    log_retention_days: float = Field(7.0, gt=0, le=3650, description="How long log files that were put aside are kept, in days.")
    access_log: bool = Field(True, description="A line for each request, at level info.")

    otlp_endpoint: str = Field(
        "",
        validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT",
        pattern=r"^(https?://\S+)?$",
        description="Collector of traces (OTLP over HTTP), such as http://127.0.0.1:4318; empty: none. Needs `prozess[otel]`.",
    )
    otlp_headers: str = Field(
        "", validation_alias="OTEL_EXPORTER_OTLP_HEADERS", description="Headers for it, `name=value` with commas between.", repr=False
    )
    trace_ratio: float = Field(1.0, ge=0, le=1, description="Share of the requests without a trace of their own that are traced.")

    # Runs
    run_limit_s: float = Field(
        1800.0, ge=10, le=2_592_000, description="How long a run may be active, in seconds; waits for people are not counted."
    )
    run_step_limit: int = Field(
        20_000, ge=100, description="How many node runs, and steps of them, one run may have: rounds of loops and turns of agents count."
    )
    question_limit_s: float = Field(
        2_592_000.0, ge=60, description="How long a flow may let a question wait for its answer, in seconds; it asks for as much itself."
    )
    subflow_depth: int = Field(8, ge=1, le=64, description="How deep flows may call flows; a flow that calls itself ends there.")
    node_limit_s: float = Field(60.0, ge=5, le=86_400, description="How long a node's effect may stay silent, in seconds.")
    snapshot_events: int = Field(
        10_000, ge=1, description="Events of a partition after which a snapshot is written: about what a takeover has to fold."
    )
    snapshot_mb: int = Field(64, ge=1, description="The same in MiB of events, for runs with much text.")
    openai_base_url: str = Field("", validation_alias="OPENAI_BASE_URL", description="Model endpoint for nodes that name none.")
    openai_api_key: str = Field("", validation_alias="OPENAI_API_KEY", description="Key for that endpoint.", repr=False)
    openai_model: str = Field(
        "gpt-4o-mini", validation_alias="OPENAI_MODEL", description="Model of the demo flow where an account is there."
    )
    model_continues: dict[str, str] = Field(
        default_factory=dict,
        description="`host/model` patterns to `never`, `prefill`, `prefix` or `vllm`, as JSON: how an attempt continues recorded text.",
    )

    # Content audit
    audit: Literal["off", "words", "iflytek"] = Field(
        "off",
        description="Who judges the words of apps whose audit_policy is 1: `words` (our own, from a file), `iflytek` (its service), or "
        "`off`: nobody, and what such an app runs ends with 21101.",
    )
    audit_file: Place | None = Field(
        None, description="TOML file of `words`: a table for each category, with words, patterns (RE2), and apps it is for."
    )
    audit_limit_s: float = Field(
        6.0, ge=0.1, le=60, description="How long one call of the audit service may take, in seconds; it is tried twice."
    )
    audit_app_id: str = Field("", validation_alias="IFLYTEK_AUDIT_APP_ID", description="App id at iFlytek's audit service.")
    audit_key_id: str = Field("", validation_alias="IFLYTEK_AUDIT_ACCESS_KEY_ID", description="Access key id there.")
    audit_key_secret: str = Field(
        "", validation_alias="IFLYTEK_AUDIT_ACCESS_KEY_SECRET", description="Access key secret there.", repr=False
    )
    audit_hosts: Names = Field(
        ("http://audit-api.xfyun.cn/v1.0",),
        validation_alias="IFLYTEK_AUDIT_HOST",
        description="Addresses of that service; a second try goes to the second.",
    )
    debug_audit: Literal["app", "on", "off"] = Field(
        "app", description="Whether debug runs are judged: `app`: as the app's policy says; `on` and `off`: all of them, none of them."
    )

    # Code of flows
    code_sandbox: Literal["monty", "bubblewrap"] = Field(
        "monty",
        description="Where code of flows runs: `monty` (a small Python without files), or `bubblewrap` (CPython in namespaces).",
    )
    code_processes: int = Field(4, ge=1, le=256, description="Codes that one program runs at once; further ones wait.")
    code_memory_mb: int = Field(128, ge=16, description="Memory of one code, in MiB.")
    code_limit_s: float = Field(
        60.0, gt=0, le=3600, description="The longest that one code may take, in seconds, whatever its node's timeout says."
    )

    # Models of the assistant and the wiki
    local_base_url: str = Field("", description="OpenAI address of a small model of this house (Ollama, vLLM); empty: none.")
    local_model: str = Field("qwen3:4b", description="Model that is asked there.")
    assistant_models: Names = Field((), description="More models of the process's own endpoint that the assistant's callers may name.")
    history_tokens: int = Field(4096, ge=0, description="How much of a session goes to the assistant's model, in tokens (estimated).")
    wiki_provider: str = Field("google", description="Provider of wiki questions that name none: google, as the document has it.")
    google_api_key: str = Field("", validation_alias="GOOGLE_API_KEY", description="Key of Google's models.", repr=False)
    google_base_url: str = Field(
        "https://generativelanguage.googleapis.com/v1beta/openai", validation_alias="GOOGLE_BASE_URL", description="Their OpenAI address."
    )
    openrouter_api_key: str = Field("", validation_alias="OPENROUTER_API_KEY", description="Key of OpenRouter.", repr=False)
    dashscope_api_key: str = Field("", validation_alias="DASHSCOPE_API_KEY", description="Key of DashScope.", repr=False)
    azure_openai_api_key: str = Field("", validation_alias="AZURE_OPENAI_API_KEY", description="Key of Azure OpenAI.", repr=False)
    azure_openai_endpoint: str = Field(
        "", validation_alias="AZURE_OPENAI_ENDPOINT", description="Its endpoint, https://….openai.azure.com."
    )
    ollama_host: str = Field("", validation_alias="OLLAMA_HOST", description="Address of Ollama (http://127.0.0.1:11434).")

    # Repositories of the wiki
    wiki_networks: Annotated[Names, AfterValidator(_networks)] = Field(
        (), description="Networks that are not public and from which repositories may be cloned nevertheless."
    )
    wiki_clone_s: float = Field(120.0, ge=5, description="How long one call of git may take, in seconds.")
    wiki_max_mb: int = Field(64, ge=1, description="How much text of a repository is read, in MiB; a clone may take four times as much.")
    anonymous_app: str = Field(
        "", description="App for which callers on this machine act who name none, on the wiki surfaces only; empty: they need a key."
    )

    # Tools, knowledge and databases of flows
    egress_networks: Annotated[Names, AfterValidator(_networks)] = Field(
        (), description="Networks that are not public and that tools, MCP servers and knowledge of flows may be in nevertheless."
    )
    egress_max_mb: int = Field(8, ge=1, le=1024, description="Largest answer of a tool or a service outside, in MiB.")
    tool_limit_s: float = Field(40.0, ge=1, description="How long one tool call of an agent may take, in seconds.")
    plugin_get_url: str = Field(
        "", validation_alias="PLUGIN_GET_URL", description="Tool platform: where the documents of tools are; empty: our own register."
    )
    plugin_run_url: str = Field("", validation_alias="PLUGIN_RUN_URL", description="Tool platform: where tools are run.")
    knowledge_url: str = Field("", validation_alias="KNOWLEDGE_URL", description="Knowledge service; empty: repositories of our register.")
    knowledge_pro_url: str = Field("", validation_alias="KNOWLEDGE_PRO_URL", description="Knowledge service that answers with a model.")
    rpa_url: str = Field("", validation_alias="RPA_BASE_URL", description="RPA service; its /rpa/v1/exec is called.")
    memory_url: str = Field("", validation_alias="MEMORY_URL", description="Memory service; its /add and /search are called.")
    sqlite_root: Place | None = Field(None, description="Folder below which database nodes may open SQLite files; empty: none.")

    # The tenant service of the running system
    app_list_url: str = Field(
        "", validation_alias="APP_MANAGE_PLAT_APP_LIST", description="Its list of apps, for apps that are not known here; empty: none."
    )
    app_details_url: str = Field("", validation_alias="APP_MANAGE_PLAT_APP_DETAILS", description="Its details of an app.")
    app_lookup_key: str = Field("", validation_alias="APP_MANAGE_PLAT_KEY", description="Key to sign calls with; empty: unsigned.")
    app_lookup_secret: str = Field("", validation_alias="APP_MANAGE_PLAT_SECRET", description="Its secret.", repr=False)
    app_sources: dict[str, Annotated[int, Field(ge=1, le=7)]] = Field(
        default_factory=dict, description="What it calls the sources of apps, to our platforms (1, 2, 4), as JSON; others are refused."
    )
    app_lookup_s: float = Field(3.0, gt=0, le=60, description="How long one call of it may take, in seconds.")
    app_lookup_ttl_s: float = Field(300.0, ge=1, le=86_400, description="How long its answers are believed, in seconds.")

    # Only dev
    demo: bool = Field(False, description="Register the app `demo` and its flow at start (only `prozess dev` does).")
    wiki_root: Place | None = Field(None, description="Folder below which the wiki surfaces may read local repositories; empty: none.")

    @property
    def audit_patience_s(self) -> float:
        """The longest that a verdict may take, in seconds: two calls of the service, and what is between them."""
        return 2 * (1 + self.audit_limit_s) + 2


def variable(name: str) -> str:
    """The environment name of a field."""
    field: FieldInfo = Settings.model_fields[name]
    return field.validation_alias if isinstance(field.validation_alias, str) else PREFIX + name.upper()


def load(**given: Any) -> Settings:
    """The settings: what is given wins over the environment, None means not given. Raises `Refused` with one sentence."""
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as wrong:
        raise Refused("; ".join(_sentence(*map(str, error["loc"][:1]), message=error["msg"]) for error in wrong.errors()) + ".") from None
    except SettingsError as wrong:
        named = next((name for name in Settings.model_fields if f'"{name}"' in str(wrong)), "")
        raise Refused(f"{variable(named) if named else 'a setting'} is not the JSON that was expected.") from None


def _sentence(name: str = "", *, message: str) -> str:
    said = message.removeprefix("Value error, ")
    if not name:
        return said  # it names its settings itself
    label = variable(name) if name in Settings.model_fields else name
    return f"{label} is not right: {said[:1].lower()}{said[1:]}"

"""The providers that the wiki's document names (deepwiki_and_stream.md A10), as accounts of this program.

In come the settings; out goes one account per provider that speaks the OpenAI protocol. A node asks one of them with the
url `provider:<name>`: the key stays with the program that calls, and never enters a document or the log.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.kit.models import offline
from services.kit.settings import Settings

SCHEME = "provider:"
UNSPOKEN: Mapping[str, str] = {"bedrock": "AWS Bedrock"}
"""Known by name, but of another protocol."""


@dataclass(frozen=True, slots=True)
class Account:
    """`label` is how error texts name it, `variables` what has to be set; an empty `url` means it is not."""

    name: str
    label: str
    model: str
    variables: str
    url: str = ""
    key: str = field(default="", repr=False)


def accounts(settings: Settings) -> Mapping[str, Account]:
    """All accounts by the name of their provider, in the order in which they are listed."""
    azure = settings.azure_openai_endpoint.rstrip("/")
    ollama = settings.ollama_host.rstrip("/")
    own = settings.openai_base_url or ("https://api.openai.com/v1" if settings.openai_api_key else "")
    known = [
        Account("google", "Google", "gemini-2.5-flash", "GOOGLE_API_KEY", settings.google_base_url, settings.google_api_key),
        Account("openai", "Openai", settings.openai_model, "OPENAI_API_KEY", own, settings.openai_api_key),
        Account(
            "openrouter",
            "OpenRouter",
            "openai/gpt-5-nano",
            "OPENROUTER_API_KEY",
            "https://openrouter.ai/api/v1",
            settings.openrouter_api_key,
        ),
        Account("ollama", "Ollama", "qwen3:1.7b", "OLLAMA_HOST", f"{ollama}/v1" if ollama else ""),
        Account(
            "azure",
            "Azure AI",
            "gpt-4o",
            "AZURE_OPENAI_API_KEY and AZURE_OPENAI_ENDPOINT",
            f"{azure}/openai/v1" if azure else "",
            settings.azure_openai_api_key,
        ),
        Account(
            "dashscope",
            "Dashscope",
            "qwen-plus",
            "DASHSCOPE_API_KEY",
            "https://dashscope.aliyuncs.com/compatible-mode/v1",
            settings.dashscope_api_key,
        ),
    ]
    return {one.name: one for one in known}


def obstacle(account: Account, model: str) -> str:
    """What keeps this account from being asked, as a sentence; empty for nothing."""
    keyless = account.name in {"ollama", "openai"}
    if (account.name == "openai" and model == offline.NAME) or (account.url and (account.key or keyless)):
        return ""
    return f"the provider {account.name} is not set up here: set {account.variables}"

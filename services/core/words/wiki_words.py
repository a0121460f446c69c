"""The words with which the wiki speaks to a model (deepwiki_and_stream.md A9, A11): languages, and a prompt for each stage."""

from collections.abc import Mapping

from services.core.words.research import LAST_ROUND

DEFAULT = "en"
LANGUAGES: Mapping[str, str] = {
    "en": "English",
    "ja": "Japanese (日本語)",
    "zh": "Mandarin Chinese (中文)",
    "zh-tw": "Traditional Chinese (繁體中文)",
    "es": "Spanish (Español)",
    "kr": "Korean (한국어)",
    "vi": "Vietnamese (Tiếng Việt)",
    "pt-br": "Brazilian Portuguese (Português Brasileiro)",
    "fr": "French (Français)",
    "ru": "Russian (Русский)",
}
_ALIASES = {"ko": "kr", "ko-kr": "kr", "pt": "pt-br", "zh-cn": "zh", "zh-hans": "zh", "zh-hant": "zh-tw", "zh-hk": "zh-tw"}
_ROLE = "You are an engineer who knows the repository {repository} and explains it to other engineers."
_RULES = (
    "Answer in {language}, also the headings that are not prescribed here. "
    "Rely on what the repository says below; where that is not enough, say so instead of guessing, and invent no file, name or citation. "
    "Name the file, and the lines where they are given, for every claim about code. Write Markdown."
)
_CHAT = "Answer the question directly: no preamble, no heading before the answer, no fences around the whole of it."
_STAY = "Stay strictly on the topic of the question. Never answer with nothing but a wish to continue the research. Be concise."
_PLAN = (
    "This is the first round of a research of several rounds. Begin with the heading `## Research Plan`. State the topic and how you will "
    "approach it, list the aspects that matter, and give first findings. End with the heading `## Next Steps`. Draw no conclusion yet."
)
_UPDATE = (
    "This is round {number} of a research. Begin with the heading `## Research Update {number}`. Read what was found so far, do not repeat "
    "it, find what is missing, and go deeper into one aspect. Give only what is new, and keep the thread."
)
_READY = " Get ready to conclude: after this little time is left."
_FINAL = (
    "This is the last round of a research. Begin with the heading `## Final Conclusion`. Review everything that was found and merge it "
    "into one definitive answer to the original question, with references to the code and, where that helps, with recommendations."
)


def language_of(code: str) -> str:
    """The language's name. An unknown, empty or missing code means English."""
    known = code.strip().lower()
    return LANGUAGES[_ALIASES.get(known, known) if _ALIASES.get(known, known) in LANGUAGES else DEFAULT]


def system(repository: str, language: str, *, deep: bool, number: int) -> str:
    """What the model is told before anything else."""
    task = f"{_stage(number)} {_STAY}" if deep else _CHAT
    return "\n\n".join((_ROLE.format(repository=repository), _RULES.format(language=language_of(language)), task))


def _stage(number: int) -> str:
    if number <= 1:
        return _PLAN
    if number >= LAST_ROUND:
        return _FINAL
    return _UPDATE.format(number=number) + (_READY if number >= LAST_ROUND - 2 else "")

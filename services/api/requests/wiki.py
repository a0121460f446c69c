"""What a client of the wiki sends (004; deepwiki_and_stream.md A2), over HTTP and the socket alike. Other keys are ignored."""

from pydantic import BaseModel, Field

from services.kit.retrieval.filters import lines

_LISTS = ("excluded_dirs", "excluded_files", "included_dirs", "included_files")


class Message(BaseModel):
    """One message of the conversation; `role` is a free word."""

    role: str
    content: str


class Question(BaseModel):
    """A whole conversation about a repository; its last message is the question."""

    repo_url: str = Field(min_length=1, max_length=4096, description="http(s) address of a repository, or a folder below the wiki root.")
    messages: list[Message] = Field(description="Oldest first; the last one is the user's.")
    file_path: str | None = Field(None, alias="filePath", max_length=4096, description="A file that is handed to the model as a whole.")
    token: str | None = Field(
        None, max_length=4096, description="Access token of a private repository. It is kept as a reference, never on the record."
    )
    type: str | None = Field("github", description="The forge: github, gitlab, bitbucket, local.")
    provider: str = Field("", description="Whose model; absent: the one that is set up, google.")
    model: str | None = Field(None, description="A model of the provider; absent: its default.")
    language: str | None = Field("en", description="Code of the answer's language; an unknown one means English.")
    excluded_dirs: str | None = Field(None, description="Names of folders, one a line.")
    excluded_files: str | None = Field(None, description="Names or patterns of files, one a line.")
    included_dirs: str | None = Field(None, description="Names of folders, one a line; then nothing else is read.")
    included_files: str | None = Field(None, description="Names, endings or patterns of files, one a line; then nothing else is read.")

    @property
    def filters(self) -> dict[str, list[str]]:
        """The lists that are not empty."""
        found = {name: list(lines(getattr(self, name))) for name in _LISTS}
        return {name: entries for name, entries in found.items() if entries}

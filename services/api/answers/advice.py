"""What to do about an error: a sentence for each code of the table, said once for those that have the same remedy.

In comes a code; out goes the sentence of the smallest range that holds it.
"""

_WAIT = "Wait and try again; if it stays, ask the provider."
_KEYS = "Check the node's model, address and keys; the provider's own words are in the message."
_NODE = "Open the run's node record (GET /v1/runs/{event_id}); it names the input and the cause."
_RANGES: tuple[tuple[int, int, str], ...] = (
    (460, 460, "Mend the field that the message names and send the request again."),
    (20000, 20000, "Send `Authorization: Bearer key:secret` of a registered app."),
    (20001, 20001, "Register the app, or name one that exists in `x-consumer-username`."),
    (20002, 20002, "Use the key of a tenant app."),
    (20003, 20003, "Have the platform's bit added to the tenant's rights."),
    (20004, 20004, "Bind the app to the flow: POST /workflow/v1/auth."),
    (20005, 20005, "Bind the app again, or answer with the app that asked."),
    (20006, 20006, "Choose another platform or operation."),
    (20007, 20007, "Mend what the message names and bind again."),
    (20100, 20104, "Mend the node or field of the document that the message names and save again."),
    (20201, 20202, "Check the flow id; GET /v1/flows lists yours."),
    (20204, 20204, "Publish the flow or the version: POST /workflow/v1/publish."),
    (20205, 20209, "Mend what the message names and send the request again."),
    (20301, 20303, _WAIT),
    (20350, 20352, _WAIT),
    (20353, 20355, _KEYS),
    (20356, 20362, _WAIT),
    (20363, 20364, "Change the words; the provider refused them."),
    (20365, 20366, _KEYS),
    (20367, 20367, _WAIT),
    (20368, 20368, "Begin a new chat."),
    (20369, 20369, _WAIT),
    (20370, 20370, _KEYS),
    (20371, 20371, _WAIT),
    (20372, 20372, "Shorten the prompt or the history, or raise the model's limit."),
    (20373, 20373, _KEYS),
    (20374, 20376, "Wait until the provider's limit is over, or have it raised."),
    (20380, 20380, _KEYS),
    (20500, 20502, "Check the address of the knowledge service, the repositories and the node's parameters."),
    (20600, 20602, "Check the references and the types of the outputs that the message names."),
    (20804, 20804, "Attach to the run again by its event id; it may still go on."),
    (20805, 20805, "Try again; if it stays, look for the run by its event id."),
    (20900, 20901, "Check the metering account."),
    (20902, 20903, "Wait as many seconds as Retry-After says, or have the limit raised."),
    (20904, 20905, "Check the metering account."),
    (21000, 21002, "Check the database's address and the node's statement and parameters."),
    (21100, 21101, "Try again; if it stays, check the audit provider (/docs/doors/audit)."),
    (21102, 21103, "Change the words; the content audit refused them."),
    (21104, 21104, "Change the words of the question; the content audit refused them."),
    (21600, 21603, "Mend the code at the line that the message names."),
    (21700, 21700, _NODE),
    (21800, 21812, "Check the tool: GET /v1/tools/{tool}; its own words are in the message."),
    (21900, 21900, _NODE),
    (22100, 22101, "Mend the node that the message names and save again."),
    (22300, 22300, "Mend the nodes and edges that the message names and save again."),
    (22301, 22302, _NODE),
    (22500, 22500, "Send the start parameters that the flow declares: GET /workflow/v1/get_flow_info/{flow_id}."),
    (22600, 23500, _NODE),
    (23601, 23604, "Send a file of an offered type and size; the message names both."),
    (23700, 23803, _NODE),
    (23900, 23900, "Ask for pending questions: GET /v1/chats/{chat_id}/pending."),
    (23901, 23901, "Nothing: another request answered first. Follow the run by its event id."),
    (40001, 40003, "Check the bot id and its configuration: GET /agent/v1/bot-config."),
    (40004, 40029, _NODE),
    (40040, 40040, "Send the key of an app that exists."),
    (40050, 40053, "Mend what the message names and send the configuration again."),
    (40301, 40376, "The model's error; see the same code 20000 lower."),
    (40500, 40500, "Try again; if it stays, look for the run by its event id."),
)


def advice(code: int) -> str:
    """What to do about it."""
    return next((said for first, last, said in _RANGES if first <= code <= last), "Look for the run by its event id.")

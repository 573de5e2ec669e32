"""Why a file is not there, for people."""

from __future__ import annotations

from flask_babel import LazyString
from flask_babel import lazy_gettext as _l

from chatbot.channels.media.models import FileSummary, MediaTransfer

PROBLEMS: dict[str, LazyString] = {
    "not_what_it_says": _l(
        "The file was refused: its content is not what it says it is, so it may be harmful."
    ),
    "too_large": _l("The file was refused: it is larger than Prosa keeps."),
    "untrusted": _l(
        "The file was refused: it was to be fetched from an address that isn't Meta's."
    ),
    "gone": _l("WhatsApp no longer has this file: ask for it to be sent again."),
    "refused": _l("WhatsApp didn't take this file."),
    "failed": _l("The file could not be transferred, after several attempts."),
}


def get_transfer_status(file: FileSummary) -> str | None:
    """What to say instead of showing the file, or beside it; None when all is well."""
    if file.problem is not None:
        return str(PROBLEMS.get(file.problem) or PROBLEMS["failed"])
    if file.transfer == MediaTransfer.DOWNLOAD:
        return str(_l("The file is being fetched…"))
    if file.transfer == MediaTransfer.UPLOAD:
        return str(_l("The file is being uploaded…"))
    return None

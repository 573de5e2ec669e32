"""Labels of the transfer state of a file."""

from __future__ import annotations

from flask_babel import LazyString
from flask_babel import lazy_gettext as _l

from chatbot.channels.media.models import FileSummary, MediaTransfer

PROBLEMS: dict[str, LazyString] = {
    "not_what_it_says": _l(
        "The file was refused: its content does not match its declared type, so it may be harmful."
    ),
    "too_large": _l("The file was refused: it is larger than Prosa stores."),
    "untrusted": _l("The file was refused: its address does not belong to Meta."),
    "gone": _l("WhatsApp no longer has this file: ask for it to be sent again."),
    "refused": _l("WhatsApp did not accept this file."),
    "failed": _l("The file could not be transferred, after several attempts."),
}


def get_transfer_status(file: FileSummary) -> str | None:
    """Return a sentence to show with the file or in its place; None if there is nothing to say."""
    if file.problem is not None:
        return str(PROBLEMS.get(file.problem) or PROBLEMS["failed"])
    if file.transfer == MediaTransfer.DOWNLOAD:
        return str(_l("The file is being downloaded…"))
    if file.transfer == MediaTransfer.UPLOAD:
        return str(_l("The file is being uploaded…"))
    return None

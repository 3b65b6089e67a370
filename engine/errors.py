"""The family of errors whose text is written for the person at the window."""

from __future__ import annotations


class HeddleError(Exception):
    """Something the user can act on: the message says what, which file, and what to do.

    The technical cause travels as ``__cause__`` (``raise HeddleError(...) from error``) and goes to the log only.
    """


class ModelError(HeddleError):
    """A model folder that cannot be used, with the file that is to blame."""


class DocumentError(HeddleError):
    """A document that cannot be read or processed; only its own row fails."""


class UsageError(HeddleError):
    """A request that makes no sense as it stands: unknown task, bad setting, nothing to run."""


class ExportError(HeddleError):
    """A result file that could not be written; the old file, if any, is intact."""


class Cancelled(HeddleError):
    """The work was stopped on request; nothing is wrong."""

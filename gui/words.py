"""Numbers, times and the engine's words as the user reads them."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QT_TRANSLATE_NOOP, QCoreApplication, QLocale

STATES = ("waiting", "running", "done", "failed", "skipped", "cancelled", "quarantined", "offline")
"""The states of a document, in the order of the filter buttons (values of the engine's documents.State)."""

BUSY = ("queued", "running")
"""The states of a job in which workers work for it or will do so by themselves."""

HALTING = ("pausing", "stopping")
"""The states of a job that is to rest, while workers still hold some of it."""

_ENGINE_WORDS = (
    QT_TRANSLATE_NOOP("engine", "waiting"),
    QT_TRANSLATE_NOOP("engine", "running"),
    QT_TRANSLATE_NOOP("engine", "done"),
    QT_TRANSLATE_NOOP("engine", "failed"),
    QT_TRANSLATE_NOOP("engine", "skipped"),
    QT_TRANSLATE_NOOP("engine", "cancelled"),
    QT_TRANSLATE_NOOP("engine", "quarantined"),
    QT_TRANSLATE_NOOP("engine", "offline"),
    QT_TRANSLATE_NOOP("engine", "adding"),
    QT_TRANSLATE_NOOP("engine", "ready"),
    QT_TRANSLATE_NOOP("engine", "queued"),
    QT_TRANSLATE_NOOP("engine", "pausing"),
    QT_TRANSLATE_NOOP("engine", "paused"),
    QT_TRANSLATE_NOOP("engine", "stopping"),
    QT_TRANSLATE_NOOP("engine", "finished"),
    QT_TRANSLATE_NOOP("engine", "auto"),
    QT_TRANSLATE_NOOP("engine", "packed"),
    QT_TRANSLATE_NOOP("engine", "padded"),
    QT_TRANSLATE_NOOP("engine", "slots"),
    QT_TRANSLATE_NOOP("engine", "batches"),
    QT_TRANSLATE_NOOP("engine", "starter"),
    QT_TRANSLATE_NOOP("engine", "writer"),
    QT_TRANSLATE_NOOP("engine", "Summarise"),
    QT_TRANSLATE_NOOP("engine", "One sentence about each e-mail"),
    QT_TRANSLATE_NOOP("engine", "recent"),
    QT_TRANSLATE_NOOP("engine", "found"),
)


def _tr(text: str, n: int = -1) -> str:
    return QCoreApplication.translate("words", text, None, n)


def engine_text(text: str) -> str:
    """Return a word or sentence of the engine in the user's language; what no translator knows stays as it is."""
    return QCoreApplication.translate("engine", text) if text else ""


def sentence(text: str) -> str:
    """Return ``text`` with its first letter in upper case."""
    return text[:1].upper() + text[1:]


def choice(name: str) -> str:
    """Return one of the values that a setting may have, in words; what has none stays as it is."""
    return {
        "split": _tr("split into parts"),
        "head": _tr("keep the beginning"),
        "tail": _tr("keep the end"),
        "fail": _tr("refuse the document"),
        "show": _tr("show the thought above the answer"),
        "hide": _tr("show the answer only"),
        "off": _tr("ask the model not to think"),
    }.get(name) or engine_text(name)


def tip(word: str) -> str:
    """Return what a word of the hardware panel means, as rich text: Qt wraps no other tooltip."""
    said = {
        "workers": _tr(
            "A worker takes documents and runs the model on them; several workers work side by side on one copy of the model. "
            "Auto takes what suits this machine."
        ),
        "threads": _tr(
            "How many processor cores one worker uses for its calculations. Workers times threads should not be more than the "
            "machine has cores."
        ),
        "slots": _tr(
            "How many answers one worker writes at the same time. More slots finish a pile sooner and take more memory."
        ),
        "formats": _tr(
            "How exactly the model's numbers are kept: fewer bits take less memory and can be faster, and change answers a "
            "little. Auto takes what this machine is fastest with."
        ),
    }[word]
    return f"<span>{said}</span>"


def number_format(name: str) -> str:
    """Return what a number format means, in a sentence; nothing for one without."""
    return {
        "auto": _tr("What this machine is fastest with."),
        "float32": _tr("Exact, and takes the most memory."),
        "bf16": _tr("Half the memory, nearly the same answers."),
        "float16": _tr("Half the memory, nearly the same answers."),
        "int8": _tr("A quarter of the memory, answers change a little."),
        "int4": _tr("The least memory, answers change more; slow for many texts at once."),
    }.get(name, "")


def number(value: int) -> str:
    """Return a whole number with the separators of the user's locale."""
    return QLocale().toString(value)


def decimals(value: float, digits: int) -> str:
    """Return a number with ``digits`` decimals in the user's locale."""
    return QLocale().toString(value, "f", digits)


def percent(share: float) -> str:
    """Return a share between 0 and 1 as a whole percentage; never 100 % before it is all."""
    whole = int(share * 100) if share < 1 else 100
    return _tr("{number} %").format(number=number(whole))


def share(part: float) -> str:
    """Return a share between 0 and 1 as a percentage that is not 0 % while there is something: ``0.13 %``, ``83 %``."""
    if not 0 < part < 0.01:
        return percent(part)
    return _tr("{number} %").format(number=QLocale().toString(max(0.01, 100 * part), "f", 2))


def duration(seconds: float) -> str:
    """Return a length of time in at most two units: ``8 s``, ``3 min 20 s``, ``2 h 5 min``."""
    whole = max(0, round(seconds))
    if whole < 60:
        return _tr("{s} s").format(s=whole)
    if whole < 3600:
        return _tr("{m} min {s} s").format(m=whole // 60, s=whole % 60)
    return _tr("{h} h {m} min").format(h=number(whole // 3600), m=whole % 3600 // 60)


def seconds(value: float) -> str:
    """Return the seconds of one document with as many decimals as say something."""
    return decimals(value, 2 if value < 10 else 1 if value < 100 else 0)


def rate(value: float) -> str:
    """Return a rate a second with three meaningful digits."""
    return decimals(value, 0 if value == 0 else 2 if value < 1 else 1 if value < 100 else 0)


def data_size(value: int) -> str:
    """Return a number of bytes as ``91.4 MB`` (powers of 1000)."""
    return QLocale().formattedDataSize(value, 1, QLocale.DataSizeFormat.DataSizeSIFormat)


def parameter_count(value: int) -> str:
    """Return a number of parameters as ``22.7 million`` or ``1.24 billion``."""
    if value >= 1_000_000_000:
        return _tr("{number} billion").format(number=decimals(value / 1e9, 2))
    if value >= 1_000_000:
        return _tr("{number} million").format(number=decimals(value / 1e6, 1))
    return number(value)


def finish(reason: str) -> str:
    """Return in words why an answer ended where it did; "" for no reason."""
    return {
        "end": _tr("ended by the model"),
        "stop": _tr("ended by a stop text"),
        "length": _tr("cut at the longest answer"),
        "thinking": _tr("ended before the thought did; there is no answer"),
    }.get(reason, engine_text(reason))


def answer(result: dict[str, Any]) -> str:
    """Return what a result's viewer shows: the answer, and above it what the model thought, where that came along."""
    text, thought = str(result.get("text") or ""), result.get("thought")
    if not isinstance(thought, str) or not thought:
        return text
    return "\n".join((_tr("Thought:"), thought, "", _tr("Answer:"), text))


def documents(n: int) -> str:
    """Return ``1 document``, ``1,000 documents``."""
    return _tr("%Ln documents", n)


def model_status(status: str, progress: float) -> str:
    """Return the state of the model in words, with the progress while it loads."""
    if status == "loading":
        return _tr("Loading {percent}").format(percent=percent(progress))
    return {"ready": _tr("Ready"), "failed": _tr("Cannot be used"), "none": _tr("No model is open")}.get(
        status, engine_text(status)
    )


def prepare_locale() -> None:
    """Give numbers their separators where the system sets no locale (C writes 1000, not 1,000)."""
    if QLocale.system().language() == QLocale.Language.C:
        QLocale.setDefault(QLocale(QLocale.Language.English, QLocale.Country.UnitedStates))

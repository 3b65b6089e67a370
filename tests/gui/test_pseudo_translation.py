"""Every word that the window shows went through a translator: brackets prove it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from PySide6.QtCore import QCoreApplication, Qt, QTranslator
from PySide6.QtGui import QAction
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QComboBox,
    QDockWidget,
    QGroupBox,
    QLabel,
    QLineEdit,
    QMenu,
    QMessageBox,
    QPlainTextEdit,
    QTabBar,
    QTableView,
    QTabWidget,
    QWidget,
)
from window_helpers import end_engine, wait_for

from gui.tables.pile_table import Column

BRACKETS = re.compile(r"«[^«»]*»")

DATA = re.compile(
    r"\d{3}-mail-[a-z-]+\.txt|(/some/)?pile-of-mails|/\S+\.(sqlite|csv|ini)"  # documents and files
    r"|all-MiniLM-L6-v2( \(starter\))?|multilingual-e5-small|writer-0\.5b|broken-shards|/models/\S+|BertModel|xlm-roberta|bert|qwen2"  # models
    r"|delivery|billing|technical problem|praise|cancellation|job application|parcels|money"  # the user's labels
    r"|float32|bf16|int8|int4|cuda:0|cpu|utf-8|cp1252|Test processor|Test GPU|AVX2"  # the machine's own names
    r"|\b(kB|MB|GB|TB|bytes|kiB|MiB|GiB)\b|\b\d+(\.\d+)?k\b"  # units that QLocale writes, thousands on an axis
    r"|\b(Python|Qt|torch|transformers)\b|\d+ dimensions"  # names of packages; results of documents
    r"|not text: it holds NUL bytes|the file changed since it was added; add it again"  # reasons of documents
    r"|the model does not know \d+% of the tokens \(wrong script or language\?\)"
)


class Brackets(QTranslator):
    """Translates everything into itself, in brackets."""

    def isEmpty(self) -> bool:
        return False

    def translate(self, context, source_text, disambiguation=None, n=-1):
        return f"«{source_text}»" if source_text else None


@pytest.fixture
def brackets(qapp, theme) -> Iterator[None]:
    translator = Brackets()
    QCoreApplication.installTranslator(translator)
    yield
    QCoreApplication.removeTranslator(translator)


def bare(text: str) -> str:
    """Return the letters of ``text`` that are neither in brackets nor data."""
    text = re.sub(r"<[^>]*>", "", text).replace("&", "")
    while BRACKETS.search(text):
        text = BRACKETS.sub("", text)
    text = DATA.sub("", text)
    return "".join(c for c in text if c.isalpha())


def texts(widget: QWidget) -> Iterator[tuple[str, str]]:
    """Yield (where, text) for whatever a user or a screen reader meets in one widget."""
    kind = type(widget).__name__
    yield f"{kind} tooltip", widget.toolTip()
    yield f"{kind} status tip", widget.statusTip()
    yield f"{kind} accessible name", widget.accessibleName()
    yield f"{kind} accessible description", widget.accessibleDescription()
    if isinstance(widget, QWidget) and (widget.isWindow() or isinstance(widget, QDockWidget)):
        yield f"{kind} title", widget.windowTitle()
    if isinstance(widget, (QLabel, QAbstractButton)):
        yield f"{kind} text", widget.text()
    if isinstance(widget, QGroupBox | QMenu):
        yield f"{kind} title", widget.title()
    if isinstance(widget, (QLineEdit, QPlainTextEdit)):
        yield f"{kind} placeholder", widget.placeholderText()
    if isinstance(widget, QComboBox):
        yield f"{kind} placeholder", widget.placeholderText()
        for row in range(widget.count()):
            yield f"{kind} item", widget.itemText(row)
            yield f"{kind} item tooltip", str(widget.itemData(row, Qt.ItemDataRole.ToolTipRole) or "")
    if isinstance(widget, QTabBar | QTabWidget):
        for tab in range(widget.count()):
            yield f"{kind} tab", widget.tabText(tab)
    if isinstance(widget, QAbstractSpinBox):
        yield f"{kind} special value", getattr(widget, "specialValueText", str)()
    if isinstance(widget, QMessageBox):
        yield f"{kind} text", widget.text()
        yield f"{kind} more", widget.informativeText()
    if isinstance(widget, QTableView):
        model = widget.model()
        for column in range(model.columnCount()):
            yield f"{kind} header", str(model.headerData(column, Qt.Orientation.Horizontal))
            for row in range(min(60, model.rowCount())):
                yield f"{kind} cell", str(model.index(row, column).data() or "")
                if column == Column.STATE:
                    yield f"{kind} cell", str(model.index(row, column).data(Qt.ItemDataRole.AccessibleTextRole))
    for action in widget.actions():
        yield from action_texts(action)


def action_texts(action: QAction) -> Iterator[tuple[str, str]]:
    for what in ("text", "iconText", "toolTip", "statusTip"):
        yield f"action {action.objectName()} {what}", getattr(action, what)()


def check(*roots: QWidget) -> None:
    wrong = set()
    for root in roots:
        for widget in (root, *root.findChildren(QWidget)):
            wrong.update((where, text) for where, text in texts(widget) if bare(text))
        for action in root.findChildren(QAction):
            wrong.update((where, text) for where, text in action_texts(action) if bare(text))
    assert not wrong, "\n".join(f"{where}: {text!r} shows {bare(text)!r}" for where, text in sorted(wrong))


@pytest.fixture
def window(qtbot, brackets, make_window):
    made = make_window("--rows", 60, "--notice", "warning:The disk is nearly full.")
    wait_for(qtbot, lambda: made.model_panel.choice.count() == 4)
    return made


def test_the_checker_itself_finds_bare_words():
    assert bare("«all» 12 and more") == "andmore"
    assert bare("«{«done»} of 12» 001-mail-praise.txt 3 MB") == ""


def test_an_empty_window(window):
    check(window)


def test_a_window_before_a_run(qtbot, brackets, make_window):
    window = make_window("--open", "cache")
    window.task_panel.preset("generate", {"prompt": "{text}"})
    window.session.commands.add_paths(["/some/pile-of-mails"])
    wait_for(qtbot, lambda: not window.task_panel.counts.isHidden())
    records = window.session.job.pile.records
    window.pile_panel.choose(next(n for n in records if n % 2 == 0))
    window.result_panel.show_prompt()
    wait_for(qtbot, window.result_panel.prompt.note.text)
    check(window)
    window.result_panel.show_trial()
    wait_for(qtbot, lambda: "tokens/s" in window.result_panel.trial.note.text())
    check(window)
    window.model_panel.choice.highlighted.emit(window.model_panel.choice.findData("/models/multilingual-e5-small"))
    check(window.model_panel)


def test_a_window_at_work_and_after(qtbot, window):
    window.session.commands.add_paths(["/some/pile-of-mails"])
    wait_for(qtbot, lambda: window.pile_panel.table.rowCount() == 60)
    window.task_panel.preset("classify", {"labels": "delivery: parcels\nbilling: money"})
    window.start()
    wait_for(qtbot, lambda: "%" in window.windowTitle())
    check(window)
    wait_for(qtbot, lambda: window.session.job.state.status == "finished")
    window.actions_.new_pile.trigger()
    window.actions_.next_pile.trigger()
    job = window.session.job
    for state in ("done", "failed", "skipped"):
        number = next(n for n, row in job.pile.records.items() if row.state == state)
        window.pile_panel.choose(number)
        wait_for(qtbot, lambda number=number: f"text of document {number}," in window.result_panel.text.toPlainText())
        window.refresh()
        check(window)
    assert window.notifier.told
    assert not bare(window.notifier.told[0]), window.notifier.told


def test_every_kind_of_setting_and_its_problems(qtbot, window):
    window.task_panel.preset("everything", {"wanted": ""})
    window.task_panel.show_problems()
    check(window)
    window.task_panel.preset("classify", {"labels": "one"})
    window.task_panel.show_problems()
    check(window)


def test_dialogs_and_questions(qtbot, window):
    window.session.commands.add_paths(["/some/pile-of-mails"])
    wait_for(qtbot, lambda: window.pile_panel.table.rowCount() == 60)
    window.session.commands.start("embed", {})
    wait_for(qtbot, lambda: window.session.job.state.status == "finished")
    a = window.actions_
    for action in (a.export, a.about, a.log, a.report, a.jobs):
        action.trigger()
    check(window, *window.dialogs.shown.values())
    dialog = window.dialogs.shown["export"]
    dialog.path.setText("")
    dialog.write.click()
    check(dialog)
    dialog.close()
    window.task_panel.preset("embed", {})
    window.start()
    check(window.findChild(QWidget, "question"))
    window.findChild(QWidget, "question").escapeButton().click()
    window.commands.rename(window.session.current)
    check(window.findChild(QWidget, "rename"))
    window.findChild(QWidget, "rename").reject()
    window.session.commands.retry(list(window.session.job.pile.records))
    wait_for(qtbot, lambda: window.session.job.busy)
    window.close()
    check(window.closing.question)
    window.closing.question.escapeButton().click()


def test_engine_trouble(qtbot, window):
    end_engine(qtbot, window)
    check(window)
    wait_for(qtbot, lambda: window.session.model.status == "ready" and window.session.client.state == "ready")
    window.session.loader.open("/models/broken")
    wait_for(qtbot, lambda: window.session.model.status == "failed")
    check(window)
    window.model_panel.unload.click()
    window.session.loader.close()
    wait_for(qtbot, lambda: window.session.model.status == "none")
    check(window)


def test_the_problem_dialog(qtbot, brackets):
    from gui.crash import ExceptionHook

    hook = ExceptionHook()
    hook._show("Traceback")
    hook._show("Traceback")
    check(hook.dialog)
    hook.close()
    wait_for(qtbot, lambda: hook.dialog is None)

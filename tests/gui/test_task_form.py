"""Forms are made from typed settings, checked while typing, and remembered for each task."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QApplication, QCheckBox, QComboBox, QDoubleSpinBox, QLineEdit, QPlainTextEdit, QSpinBox
from window_helpers import wait_for

from engine.api import Setting, TaskSpec
from gui.panels.task_form import TaskForm
from gui.widgets.text_area import TextArea

SPEC = TaskSpec(
    "t",
    "T",
    "",
    (
        Setting("text", "Text", "text", "x"),
        Setting("lines", "Lines", "multiline", "a\nb"),
        Setting("labels", "Labels", "labels", "", required=True),
        Setting("real", "Real", "number", 0.25, minimum=-1.0, maximum=1.0),
        Setting("whole", "Whole", "integer", 3, minimum=1, maximum=9),
        Setting("flag", "Flag", "switch", default=True),
        Setting("pick", "Pick", "choice", "two", choices=("one", "two")),
    ),
)


@pytest.fixture
def form(qtbot, theme):
    made = TaskForm(SPEC, {})
    qtbot.addWidget(made)
    return made


def test_every_kind_has_its_editor_and_its_default(form):
    kinds = {name: type(field.editor) for name, field in form.fields.items()}
    assert kinds["text"] is QLineEdit
    assert issubclass(kinds["lines"], QPlainTextEdit)
    assert issubclass(kinds["labels"], QPlainTextEdit)
    assert kinds["real"] is QDoubleSpinBox
    assert kinds["whole"] is QSpinBox
    assert kinds["flag"] is QCheckBox
    assert kinds["pick"] is QComboBox
    assert form.values() == {
        "text": "x",
        "lines": "a\nb",
        "labels": "",
        "real": 0.25,
        "whole": 3,
        "flag": True,
        "pick": "two",
    }


def test_values_of_a_wrong_type_or_unknown_name_are_ignored(form):
    form.set_values({"text": 7, "real": "much", "whole": None, "flag": "yes", "gone": 1, "pick": "three"})
    assert form.values()["text"] == "x"
    assert form.values()["real"] == 0.25
    assert form.values()["whole"] == 3
    assert form.values()["flag"] is True


def test_limits_hold(form):
    form.set_values({"real": 5.0, "whole": -3})
    assert form.values()["real"] == 1.0
    assert form.values()["whole"] == 1


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "filled in"),
        ("  \n ", "filled in"),
        ("one", "two labels"),
        ("one: first\n: second", "name before"),
        ("one: first\none: again", "there twice"),
        ("one: first\ntwo", ""),
        ("one, two, three", ""),
    ],
)
def test_labels_are_checked_in_words(form, text, problem):
    form.set_values({"labels": text})
    found = form.fields["labels"].problem()
    assert (problem in found) if problem else not found


def test_the_form_refuses_the_labels_that_the_engine_refuses_and_no_others(form):
    from engine.api.labels import parse_labels
    from engine.errors import UsageError

    for text in ("a\nb", "a: x\nb: y", "a,b", "a: x\n\n b \n", "a, b: c\nd", "a\na", "a", ": x\nb", "a:x, b:y"):
        form.set_values({"labels": text})
        found = form.fields["labels"].problem()
        if not found:
            parse_labels(text)
            continue
        with pytest.raises(UsageError) as refused:
            parse_labels(text)
        assert str(refused.value) == found


def test_problems_appear_while_typing_and_go(qtbot, form):
    form.show()
    field = form.fields["labels"]
    field.editor.setPlainText("one")
    wait_for(qtbot, field._problem.isVisible)
    field.editor.setPlainText("one\ntwo")
    wait_for(qtbot, lambda: not field._problem.isVisible())


def test_required_settings_come_first(form):
    assert form.in_order[0].setting.name == "labels"


def test_tab_leaves_the_labels_editor(form):
    assert form.fields["labels"].editor.tabChangesFocus()


def test_settings_are_remembered_for_each_task(qtbot, make_window):
    window = make_window()
    panel = window.task_panel
    panel.form.fields["labels"].editor.setPlainText("a\nb")
    wait_for(qtbot, lambda: window._settings.json("tasks/classify", {}).get("labels") == "a\nb")
    panel.choice.setCurrentIndex(panel.choice.findData("everything"))
    panel.form.fields["count"].editor.setValue(8)
    wait_for(qtbot, lambda: window._settings.json("tasks/everything", {}).get("count") == 8)
    panel.choice.setCurrentIndex(panel.choice.findData("classify"))
    assert panel.values()["labels"] == "a\nb"
    with qtbot.waitSignal(window.closed):
        window.closing.now()
    again = make_window()
    assert again.task_panel.task == "classify"
    assert again.task_panel.values()["labels"] == "a\nb"


def test_a_preset_before_hello_is_kept_until_then(qtbot, make_window):
    window = make_window("--hello-after", 0.4, ready=False)
    window.task_panel.preset("embed", {"prompt": "query"})
    wait_for(qtbot, lambda: window.task_panel.task == "embed")
    assert window.task_panel.values()["prompt"] == "query"


def test_limits_beyond_what_qt_counts_are_no_reason_to_fail(qtbot, theme):
    spec = TaskSpec("t", "T", "", (Setting("seed", "Seed", "integer", 0, minimum=0, maximum=2**53),))
    made = TaskForm(spec, {"seed": 2**30})
    qtbot.addWidget(made)
    assert made.values() == {"seed": 2**30}


def test_examples_are_edited_as_lines(qtbot, theme):
    spec = TaskSpec("t", "T", "", (Setting("examples", "Examples", "examples", ""),))
    made = TaskForm(spec, {"examples": "a => b\nc => d"})
    qtbot.addWidget(made)
    assert isinstance(made.fields["examples"].editor, QPlainTextEdit)
    assert made.values() == {"examples": "a => b\nc => d"}


def test_the_engines_own_tasks_have_forms(qtbot, theme):
    from engine import tasks
    from engine.tasks.base import specification

    for task in tasks.TASKS.values():
        made = TaskForm(specification(task), {})
        qtbot.addWidget(made)
        assert made.values().keys() == made.fields.keys()


@pytest.mark.parametrize(
    "prompt", ["{text:d}", "{text!z}", "{text:{foo}}", "{text:>99999999999}", "{nothing}", "{text"]
)
def test_a_prompt_whose_fields_make_no_sense_is_marked_in_the_form(qtbot, theme, prompt):
    setting = Setting("prompt", "Prompt", "multiline", "", required=True, fields=("text", "name"))
    form = TaskForm(TaskSpec("t", "T", "", (setting,)), {"prompt": prompt})
    qtbot.addWidget(form)
    (problem,) = form.problems()
    assert problem.startswith("Prompt ")
    assert "{text}, {name}" in problem
    form.set_values({"prompt": 'Return JSON {"label": "x"}, 100% of {text}'})
    assert not form.problems()


def test_the_engines_form_for_prompts_says_what_it_may_name():
    from engine import tasks
    from engine.tasks.base import specification

    spec = specification(tasks.TASKS["generate"])
    (prompt,) = [setting for setting in spec.settings if setting.name == "prompt"]
    assert prompt.fields == ("text", "name", "path", "column:")
    assert [setting.name for setting in spec.settings if setting.fields] == ["prompt"]


def test_the_prompt_starts_with_an_example_that_works_and_is_seen_whole(qtbot, theme):
    from engine import tasks
    from engine.tasks.base import settings_of, specification

    task = tasks.TASKS["generate"]
    made = TaskForm(specification(task), {})
    qtbot.addWidget(made)
    made.resize(280, 600)
    made.show()
    assert "{text}" in made.values()["prompt"]
    assert not made.problems()
    task(settings_of(task, made.values()))  # the engine takes it
    editor = made.fields["prompt"].editor
    line = editor.fontMetrics().lineSpacing()
    assert editor.viewport().height() >= 5 * line
    long = "Write what the writer of this text wants, and quote the sentence in which it is said. " * 3 + "{text}"
    editor.setPlainText(long)
    for bar in (editor.horizontalScrollBar(), editor.verticalScrollBar()):
        assert bar.maximum() == 0
        assert not bar.isVisible()
    assert editor.viewport().height() >= editor.document().size().height() * line


def test_a_prompt_of_one_s_own_stays_and_one_that_was_cleared_is_the_example_again(qtbot, theme):
    from engine import tasks
    from engine.tasks.base import specification

    spec = specification(tasks.TASKS["generate"])
    own, cleared = TaskForm(spec, {"prompt": "Mine: {text}"}), TaskForm(spec, {"prompt": ""})
    for form in (own, cleared):
        qtbot.addWidget(form)
    assert own.values()["prompt"] == "Mine: {text}"
    assert "{text}" in cleared.values()["prompt"]


@pytest.mark.parametrize("kind", ["multiline", "labels", "examples"])
def test_what_has_lines_wraps_them(qtbot, theme, kind):
    spec = TaskSpec("t", "T", "", (Setting("lines", "Lines", kind, ""),))
    made = TaskForm(spec, {"lines": "a: a description that is much wider than the panel it stands in\nb: x"})
    qtbot.addWidget(made)
    made.resize(200, 400)
    made.show()
    assert made.fields["lines"].editor.horizontalScrollBar().maximum() == 0


@pytest.mark.parametrize("name", ["whole", "real", "pick"])
def test_scrolling_over_a_form_changes_no_value(form, name):
    before, editor = form.values(), form.fields[name].editor
    assert editor.focusPolicy() == Qt.FocusPolicy.StrongFocus
    for turn in (120, -120):
        at, none = QPointF(5, 5), QPoint()
        wheel = QWheelEvent(
            at,
            at,
            none,
            QPoint(0, turn),
            Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier,
            Qt.ScrollPhase.NoScrollPhase,
            False,
        )
        QApplication.sendEvent(editor, wheel)
        assert not wheel.isAccepted()
    assert form.values() == before


def test_an_editor_shows_all_its_lines_after_it_became_narrower(qtbot, theme):
    area = TextArea(3, 24)
    qtbot.addWidget(area)
    area.setPlainText("\n".join(f"label {n}: a description that is long enough to break" for n in range(5)))
    area.resize(500, area.height())
    area.show()
    wide = area.height()
    area.resize(220, area.height())
    assert area.height() > wide
    wait_for(qtbot, lambda: area.verticalScrollBar().maximum() == 0)

"""The hardware panel edits the plan and explains the one in use."""

from __future__ import annotations

from window_helpers import wait_for

from engine.api import Plan, settings_in


def test_auto_names_what_the_engine_chose(qtbot, make_window):
    panel = make_window().hardware_panel
    wait_for(qtbot, lambda: panel.workers.text() == "auto (2)")
    assert panel.threads.text() == "auto (1)"
    assert panel._line.text() == "In use: 2 workers × 1 thread on 2 cores, float32. Exact, and takes the most memory."
    assert panel.device.itemText(1) == "Test GPU (8.0 GB)"


def test_the_spin_boxes_go_as_far_as_the_plan_itself(make_window):
    panel = make_window(ready=False).hardware_panel
    for setting in settings_in(Plan):
        if setting.kind == "integer":
            spin = getattr(panel, setting.name)
            assert (spin.minimum(), spin.value()) == (setting.minimum, setting.default)
            assert spin.maximum() <= setting.maximum
    assert panel.slots.maximum() == next(one.maximum for one in settings_in(Plan) if one.name == "slots")


def test_turning_a_spin_box_sends_one_plan_which_is_remembered(qtbot, make_window):
    window = make_window()
    sent = []
    original = window.session.client.send
    window.session.client.send = lambda kind, *a, **f: sent.append(f.get("plan")) or original(kind, *a, **f)
    for _ in range(4):
        window.hardware_panel.workers.stepUp()
    wait_for(qtbot, lambda: window.session.plan_in_use.workers == 4)
    assert [plan for plan in sent if plan is not None] == [Plan("cpu", 4, 0, "auto")]
    assert window._settings.plan().workers == 4
    wait_for(qtbot, lambda: window.hardware_panel._line.text().startswith("In use: 4 workers"))


def test_the_remembered_plan_is_used_at_the_next_start(qtbot, make_window, settings):
    settings.set_plan(Plan("cuda:0", 3, 2, "bf16"))
    settings.sync()
    window = make_window()
    wait_for(qtbot, lambda: window.session.plan_in_use.workers == 3)
    panel = window.hardware_panel
    assert panel.device.currentData() == "cuda:0"
    assert (panel.workers.value(), panel.threads.value(), panel.dtype.currentData()) == (3, 2, "bf16")
    assert panel._line.text().startswith("In use: 3 workers on cuda:0, bf16.")


def test_more_workers_than_cores_are_warned_of_and_auto_is_not(qtbot, make_window):
    window = make_window()
    panel = window.hardware_panel
    wait_for(qtbot, lambda: panel.workers.text() == "auto (2)")
    assert panel.warning.isHidden()
    panel.workers.setValue(2)
    assert panel.warning.isHidden()
    panel.threads.setValue(3)
    assert not panel.warning.isHidden()
    assert "asks for 6 cores, and the machine has 2" in panel.warning.text()
    wait_for(qtbot, lambda: window.session.plan_in_use.threads == 3)
    assert not panel.warning.isHidden()
    panel.device.setCurrentIndex(1)
    assert panel.warning.isHidden()
    panel.device.setCurrentIndex(0)
    panel.workers.setValue(0)
    panel.threads.setValue(0)
    assert panel.warning.isHidden()


def test_every_word_that_a_newcomer_may_not_know_is_explained(make_window):
    panel = make_window().hardware_panel
    for widget in (panel.workers, panel.threads, panel.slots, panel.dtype):
        assert len(widget.toolTip()) > 60
    formats = [panel.dtype.itemData(row, 3) for row in range(panel.dtype.count())]
    assert all(text.endswith(".") for text in formats)

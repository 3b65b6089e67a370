"""The hardware panel edits the plan and explains the one in use."""

from __future__ import annotations

from window_helpers import wait_for

from engine.lanes.plan import Plan


def test_auto_names_what_the_engine_chose(qtbot, make_window):
    panel = make_window().hardware_panel
    wait_for(qtbot, lambda: panel.lanes.text() == "auto (2)")
    assert panel.threads.text() == "auto (1)"
    assert panel._line.text() == "2 lanes × 1 thread on 2 cores, float32"
    assert panel.device.itemText(1) == "Test GPU (8.0 GB)"


def test_turning_a_spin_box_sends_one_plan_which_is_remembered(qtbot, make_window):
    window = make_window()
    sent = []
    original = window.session.client.send
    window.session.client.send = lambda kind, *a, **f: sent.append(f.get("plan")) or original(kind, *a, **f)
    for _ in range(4):
        window.hardware_panel.lanes.stepUp()
    wait_for(qtbot, lambda: window.session.plan_in_use.lanes == 4)
    assert [plan for plan in sent if plan is not None] == [Plan("cpu", 4, 0, "auto")]
    assert window._settings.plan().lanes == 4
    wait_for(qtbot, lambda: window.hardware_panel._line.text().startswith("4 lanes"))


def test_the_remembered_plan_is_used_at_the_next_start(qtbot, make_window, settings):
    settings.set_plan(Plan("cuda:0", 3, 2, "bf16"))
    settings.sync()
    window = make_window()
    wait_for(qtbot, lambda: window.session.plan_in_use.lanes == 3)
    panel = window.hardware_panel
    assert panel.device.currentData() == "cuda:0"
    assert (panel.lanes.value(), panel.threads.value(), panel.dtype.currentData()) == (3, 2, "bf16")
    assert panel._line.text() == "3 lanes on cuda:0, bf16"

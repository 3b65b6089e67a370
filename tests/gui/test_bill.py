"""What About shows of the parts of a frozen program."""

from __future__ import annotations

import json

from PySide6.QtWidgets import QDialogButtonBox

from gui import bill
from gui.dialogs.texts import AboutDialog, TextDialog


def write(path, *components) -> None:
    path.write_text(json.dumps({"bomFormat": "CycloneDX", "components": list(components)}), "utf-8")


def test_each_part_is_a_line_with_its_licences(tmp_path):
    part = {"name": "torch", "version": "2.13.0", "licenses": [{"license": {"name": "BSD-3-Clause"}}]}
    write(tmp_path / "b", part, {"name": "x", "version": "", "licenses": []})
    assert bill.bill_text(tmp_path / "b").splitlines() == ["torch 2.13.0: BSD-3-Clause", "x : "]


def test_from_source_there_is_no_bill():
    assert bill.bill_text() == ""


def test_a_damaged_bill_says_so(tmp_path):
    (tmp_path / "b").write_text("{", "utf-8")
    assert "b: " in bill.bill_text(tmp_path / "b")


def test_about_shows_it_where_it_is(qtbot, make_window, tmp_path, monkeypatch):
    write(tmp_path / "b", {"name": "torch", "version": "2", "licenses": [{"license": {"name": "BSD"}}]})
    monkeypatch.setattr(bill.assets, "path", lambda _name: tmp_path / "b")
    window = make_window()
    window.dialogs.about()
    dialog = window.dialogs.shown["about"]
    assert isinstance(dialog, AboutDialog)
    (button,) = (b for b in dialog.findChild(QDialogButtonBox).buttons() if b.text() == "&What is inside")
    button.click()
    (inside,) = dialog.findChildren(TextDialog)
    assert "torch 2: BSD" in inside.text.toPlainText()

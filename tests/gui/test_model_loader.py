"""Which model the window takes for open, whatever the order in which the engine's words arrive."""

from __future__ import annotations

from dataclasses import asdict

import pytest
from PySide6.QtCore import QObject

from engine.api import CheckModel, ModelFacts, ModelState, Reply, Snapshot
from gui.model_loader import ModelLoader
from gui.notices import Notices
from gui.settings import Settings

OLD, NEW = "/models/old", "/models/new"


class Client(QObject):
    """Takes commands and answers when it is told to."""

    alive = True

    def __init__(self) -> None:
        super().__init__()
        self.asked: list = []

    def send(self, kind, on_reply, **fields) -> int:
        self.asked.append((kind, fields.get("folder", ""), on_reply))
        return len(self.asked)

    def answer(self, kind, folder: str) -> None:
        reply = next(then for what, about, then in self.asked if (what, about) == (kind, folder))
        reply(Reply(1, ok=True, value={"facts": asdict(ModelFacts(folder, folder, usable=True))}))


@pytest.fixture
def client(qapp) -> Client:
    return Client()


@pytest.fixture
def loader(client, tmp_path) -> ModelLoader:
    return ModelLoader(client, Settings(str(tmp_path / "window.ini")), Notices(client), client)


def ready(loader: ModelLoader, folder: str) -> None:
    loader.take(Snapshot(1, 1.0, model=ModelState(status="ready", folder=folder)))


def test_facts_of_a_model_that_is_no_longer_open_are_not_taken_for_those_of_the_next(loader, client):
    loader.open(NEW)
    ready(loader, OLD)  # told before the engine read the command
    client.answer(CheckModel, OLD)
    ready(loader, NEW)
    assert loader.facts is None
    client.answer(CheckModel, NEW)
    assert loader.facts is not None
    assert loader.facts.folder == NEW


def test_an_answer_that_comes_late_changes_nothing(loader, client):
    loader.open(NEW)
    ready(loader, OLD)
    ready(loader, NEW)
    client.answer(CheckModel, NEW)
    client.answer(CheckModel, OLD)
    assert loader.facts is not None
    assert loader.facts.folder == NEW

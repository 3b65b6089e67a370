"""Which model the window takes for open, whatever the order in which the engine's words arrive."""

from __future__ import annotations

from dataclasses import asdict

import pytest
from PySide6.QtCore import QObject

from engine.api import CheckModel, ModelFacts, ModelState, OpenModel, Reply, Snapshot
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


def told(loader: ModelLoader, status: str, folder: str) -> None:
    loader.take(Snapshot(1, 1.0, model=ModelState(status=status, folder=folder)))


@pytest.mark.parametrize(("status", "folder"), [("none", ""), ("ready", OLD)])
def test_what_was_told_before_the_engine_read_the_command_is_no_news(loader, client, status, folder):
    loader.open(NEW)
    told(loader, status, folder)
    assert (loader.model.status, loader.model.folder) == ("loading", NEW)
    assert [kind for kind, *_ in client.asked] == [OpenModel]
    told(loader, "loading", NEW)
    client.answer(OpenModel, NEW)
    told(loader, "ready", NEW)
    assert loader.facts is not None
    assert (loader.model.status, loader.facts.folder) == ("ready", NEW)


def test_facts_that_were_asked_for_before_another_model_was_opened_are_not_taken_for_its_own(loader, client):
    told(loader, "ready", OLD)
    loader.open(NEW)
    client.answer(CheckModel, OLD)
    assert loader.facts is None


def test_facts_of_one_model_do_not_stay_when_the_engine_has_opened_another(loader, client):
    told(loader, "ready", OLD)
    client.answer(CheckModel, OLD)
    told(loader, "ready", NEW)
    assert loader.facts is None
    client.answer(CheckModel, NEW)
    assert loader.facts is not None
    assert loader.facts.folder == NEW

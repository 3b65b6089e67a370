"""A stand-in for the engine process: speaks the protocol over stdin and stdout and does what the test asked for.

It touches no model and no document. ``--rows N`` documents appear for every AddPaths, ``--per-tick K`` of them finish
in every tick of a running job. It can die, hang, fall silent, talk rubbish and refuse, at chosen moments.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import queue
import signal
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from engine import api  # noqa: E402
from engine.api import (  # noqa: E402
    DocumentRow,
    JobFacts,
    JobRows,
    JobState,
    Meters,
    ModelState,
    Notice,
    Plan,
    Snapshot,
    ThreadTime,
    TrialState,
    WorkerState,
)

LABELS = ("delivery", "billing", "technical problem", "praise", "cancellation", "job application")
STRANGE = (
    "plain.txt",
    "a very long name that goes on and on because somebody wrote the whole subject line of the mail into it - final (2).txt",
    "rechnung_2024-03-01_größe_Übersicht.txt",
    "简体中文文件名.txt",
    "ملف عربي.txt",
    "evil\u202etxt.exe",
    "line\nbreak.txt",
    "tab\there.txt",
    "not\udcffutf8\udc80.txt",
    "<b>bold</b> & <img src=x>.txt",
    "emoji 🧵🪡.txt",
    "zero\u200bwidth.txt",
    "=SUM(A1).csv",
    "quote\"'`;.txt",
)
STATES = ("waiting", "running", "done", "failed", "skipped", "cancelled", "quarantined", "offline")


class Job:
    def __init__(self, number: str, name: str) -> None:
        self.id, self.name = number, name
        self.status, self.task, self.adding = "ready", "", False
        self.rows: dict[int, DocumentRow] = {}
        self.changed: set[int] = set()
        self.removed: list[int] = []
        self.reset = True
        self.elapsed = 0.0
        self.settings: dict = {}
        self.created = time.time()
        self.priority = 0
        self.open = True
        self.deleted = False

    def facts(self) -> JobFacts:
        return JobFacts(
            self.id,
            self.name,
            self.created,
            self.task,
            self.settings,
            self.status,
            self.priority,
            "",
            self.counts(),
            self.open,
        )

    def set(self, number: int, **fields) -> None:
        self.rows[number] = dataclasses.replace(self.rows[number], **fields)
        self.changed.add(number)

    def numbers(self, *states: str) -> list[int]:
        return [n for n, row in self.rows.items() if row.state in states]

    def counts(self) -> dict[str, int]:
        counts = dict.fromkeys(STATES, 0)
        for row in self.rows.values():
            counts[row.state] += 1
        return counts


class FakeEngine:
    def __init__(self, o: argparse.Namespace) -> None:
        self.o = o
        self.jobs: dict[str, Job] = {}
        self.model = ModelState()
        self.plan = Plan("cpu", 2, 1, "float32")
        self.next_id = 1
        self.sequence = 0
        self.documents = 0
        self.tokens = 0
        self.recent: list[tuple[float, int, int]] = []
        self.load_left = 0.0
        self.loading: api.OpenModel | None = None
        self.notices: list[Notice] = [Notice(*text.split(":", 1)) for text in o.notice]
        self.inbox: queue.Queue = queue.Queue()
        self.hung = False
        self.exports = 0
        self.removals: list[dict[int, DocumentRow]] = []
        self.trial: api.Trial | None = None
        self.trial_left = 0

    # ---- streams
    def send(self, message) -> None:
        sys.stdout.buffer.write(api.encode(message))
        sys.stdout.buffer.flush()

    def listen(self) -> None:
        frames = api.Frames()
        while True:
            data = os.read(0, 65536)
            if not data:
                os._exit(0)  # the window is gone
            for command in frames.feed(data):
                self.inbox.put(command)

    # ---- session file
    def load(self) -> None:
        if self.o.session and os.path.exists(self.o.session):
            kept = json.loads(Path(self.o.session).read_text("utf-8"))
            self.next_id = kept["next_id"]
            for item in kept["jobs"]:
                job = Job(item["id"], item["name"])
                job.status, job.task, job.settings = item["status"], item["task"], item["settings"]
                job.created, job.priority = item["created"], item["priority"]
                job.open = not self.o.shelve or job.status in ("queued", "running", "paused")
                job.rows = {row[0]: DocumentRow(*row) for row in item["rows"]}
                for number in job.numbers("running"):
                    job.set(number, state="waiting", progress=0.0)
                job.changed = set(job.rows)
                self.jobs[job.id] = job

    def save(self) -> None:
        if self.o.session and self.o.keep:
            jobs = [
                {
                    "id": j.id,
                    "name": j.name,
                    "status": j.status,
                    "task": j.task,
                    "settings": j.settings,
                    "created": j.created,
                    "priority": j.priority,
                    "rows": [api.plain(r) for r in j.rows.values()],
                }
                for j in self.jobs.values()
                if not j.deleted
            ]
            temporary = self.o.session + ".new"
            Path(temporary).write_text(json.dumps({"next_id": self.next_id, "jobs": jobs}), "utf-8")
            os.replace(temporary, self.o.session)

    def may_die(self) -> bool:
        """Die only as often as asked, over all lives: a marker file counts."""
        if not self.o.marker:
            return True
        marker = Path(self.o.marker)
        deaths = int(marker.read_text()) if marker.exists() else 0
        if deaths >= self.o.deaths:
            return False
        marker.write_text(str(deaths + 1))
        return True

    def die(self) -> None:
        if self.o.exit_code is not None:
            os._exit(self.o.exit_code)
        os.kill(os.getpid(), signal.SIGKILL)

    # ---- life
    def run(self) -> None:
        for line in self.o.stderr:
            print(line, file=sys.stderr, flush=True)
        if self.o.die_at_start and self.may_die():
            self.die()
        self.load()
        threading.Thread(target=self.listen, daemon=True).start()
        if self.o.no_hello:
            time.sleep(3600)
        time.sleep(self.o.hello_after)
        machine = api.MachineFacts(
            2,
            "AVX2",
            16_000_000_000,
            (
                api.Device("cpu", "Test processor", 16_000_000_000, 9_000_000_000, ("float32", "bf16")),
                api.Device("cuda:0", "Test GPU", 8_000_000_000, 7_000_000_000, ("float32", "bf16")),
            ),
            Plan("cpu", 2, 1, "float32"),
            {"torch": "2.13.0", "transformers": "5.23.0"},
        )
        self.send(
            api.Hello(
                self.o.version,
                "0.1.0",
                os.getpid(),
                machine,
                tasks(),
                tuple(j.id for j in self.jobs.values() if j.open),
            )
        )
        if self.o.garbage:
            sys.stdout.buffer.write(b"\x00\x00\x00\x05hello")
            sys.stdout.buffer.flush()
        began = time.monotonic()
        while True:
            deadline = time.monotonic() + 0.1
            while (left := deadline - time.monotonic()) > 0:
                try:
                    command = self.inbox.get(timeout=left)
                except queue.Empty:
                    break
                self.obey(command)
            self.work()
            if self.o.silent_after is not None and time.monotonic() - began > self.o.silent_after and self.may_die():
                self.hung = True
            if not self.hung:
                self.send(api.Picture(self.snapshot()))
            self.save()

    def obey(self, c) -> None:
        name = type(c).__name__
        if name == self.o.die_on and self.may_die():
            self.die()
        if name == self.o.refuse:
            self.send(api.Reply(c.request, False, error="The fake engine was told to refuse this."))
            return
        if name == self.o.ignore:
            return
        value = getattr(self, f"on_{name}")(c)
        if value is not None:
            self.send(api.Reply(c.request, True, value))

    def work(self) -> None:
        if self.loading is not None:
            self.load_left -= 0.1
            share = 1 - max(0.0, self.load_left) / max(self.o.load_seconds, 0.1)
            self.model = dataclasses.replace(self.model, progress=share)
            if self.o.die_loading and share > 0.4 and self.may_die():
                self.die()
            if self.load_left <= 0:
                command, self.loading = self.loading, None
                facts = next((f for f in models() if f.folder == command.folder), models()[0])
                self.model = ModelState(
                    "ready",
                    facts.folder,
                    facts.name,
                    1.0,
                    "",
                    "",
                    "float32",
                    "slots" if facts.writes else "packed",
                    "",
                    facts.parameters,
                    facts.dimension,
                    facts.max_tokens,
                    facts.bytes,
                )
                self.send(api.Reply(command.request, True, {"facts": api.plain(facts)}))
        if self.trial is not None:
            self.trial_left -= 1
            if not self.trial_left:
                self.end_trial("done")
        for job in self.jobs.values():
            if job.status == "queued" and self.model.status == "ready":
                job.status = "running"
            if job.status == "running":
                self.step(job)

    def step(self, job: Job) -> None:
        job.elapsed += 0.1
        for number in job.numbers("running"):
            row = job.rows[number]
            if number % 97 == 13:
                job.set(
                    number, state="failed", reason="the file changed since it was added; add it again", seconds=0.01
                )
            elif row.tokens > 400 and row.progress < 0.7:
                job.set(number, progress=row.progress + 0.35)
                continue
            else:
                label = LABELS[number % len(LABELS)]
                summary = f"{label} {0.3 + number % 50 / 100:.2f}" if job.task == "classify" else "384 dimensions"
                reason = (
                    "the model does not know 23% of the tokens (wrong script or language?)" if number % 41 == 5 else ""
                )
                job.set(
                    number,
                    state="done",
                    progress=1.0,
                    seconds=0.02 + number % 13 / 100,
                    summary=summary,
                    reason=reason,
                    label=label if job.task == "classify" else "",
                    score=0.3 + number % 50 / 100 if job.task == "classify" else None,
                )
            self.documents += 1
            self.tokens += max(0, row.tokens)
            if self.documents == self.o.die_at and self.may_die():
                self.save()
                self.die()
            if self.documents == self.o.hang_at and self.may_die():
                self.hung = True
        for at, number in enumerate(job.numbers("waiting")[: self.o.per_tick]):
            job.set(number, state="running", tokens=20 + number * 37 % 480, worker=at % 2)
        if not job.numbers("waiting", "running"):
            job.status = "finished"

    # ---- commands
    def on_OpenModel(self, c):
        if c.folder.endswith("broken"):
            self.loading = None
            self.model = ModelState(
                "failed", c.folder, "broken", message="model.safetensors is cut off. Copy it again."
            )
            self.send(api.Reply(c.request, False, error=self.model.message))
            return
        asked = self.o.open if c.folder == "starter" else c.folder
        facts = next((f for f in models() if f.source == asked), models()[0])
        folder = facts.folder if c.folder in ("starter", "writer") else c.folder
        self.model = ModelState("loading", folder, os.path.basename(folder), 0.0, "reading weights")
        self.loading, self.load_left = dataclasses.replace(c, folder=folder), self.o.load_seconds

    def on_CancelOpen(self, c):
        if self.loading is not None:
            self.send(api.Reply(self.loading.request, False, error="The load was cancelled."))
            self.loading = None
        self.model = ModelState(message="The load was cancelled.")
        return {}

    def on_CloseModel(self, c):
        self.model = ModelState()
        return {}

    def on_ListModels(self, c):
        return {"models": [api.plain(m) for m in models()]}

    def on_CheckModel(self, c):
        facts = next((f for f in models() if f.folder == c.folder), None)
        facts = facts or api.ModelFacts(c.folder, os.path.basename(c.folder), False, ("There is no config.json here.",))
        return {"facts": api.plain(facts)}

    def on_SetPlan(self, c):
        self.plan = Plan(
            c.plan.device,
            c.plan.workers or 2,
            c.plan.threads or 1,
            "float32" if c.plan.dtype == "auto" else c.plan.dtype,
            c.plan.slots,
        )
        return {}

    def on_CreateJob(self, c):
        self.jobs[c.job] = Job(c.job, c.name)
        return {}

    def on_AddPaths(self, c):
        job = self.jobs[c.job]
        skipped = 0
        for at in range(self.o.rows):
            number = self.next_id
            self.next_id += 1
            name = (
                STRANGE[at % len(STRANGE)]
                if self.o.strange
                else f"{number:03d}-mail-{LABELS[number % 6].replace(' ', '-')}.txt"
            )
            bad = number % 50 == 7
            skipped += bad
            job.rows[number] = DocumentRow(
                number,
                number,
                name,
                f"{c.paths[0]}/{name}",
                400 + number * 137 % 9000,
                "skipped" if bad else "waiting",
                "not text: it holds NUL bytes" if bad else "",
                "" if bad else "utf-8" if number % 9 else "cp1252",
                1.0 if number % 9 else 0.83,
            )
            job.changed.add(number)
        return {"added": self.o.rows - skipped, "skipped": skipped}

    def on_Submit(self, c):
        job = self.jobs[c.job]
        if c.rest:
            for number in job.numbers("cancelled"):
                job.set(number, state="waiting", progress=0.0, reason="", summary="", label="", score=None)
        job.task, job.settings, job.status = c.task, c.settings, "queued"
        return {}

    def on_Pause(self, c):
        job = self.jobs[c.job]
        job.status = "pausing" if self.o.slow_pause and job.numbers("running") else "paused"
        return {}

    def on_Resume(self, c):
        self.jobs[c.job].status = "queued"
        return {}

    def on_Cancel(self, c):
        job = self.jobs[c.job]
        for number in job.numbers("waiting", "running"):
            job.set(number, state="cancelled", progress=0.0)
        job.status = "cancelled"
        return {}

    def on_Retry(self, c):
        job = self.jobs[c.job]
        again = list(c.documents) or job.numbers("failed", "cancelled")
        for number in again:
            job.set(number, state="waiting", progress=0.0, reason="", summary="", label="", score=None)
        job.status = "queued"
        return {"count": len(again)}

    def on_RemoveDocuments(self, c):
        job = self.jobs[c.job]
        gone = [n for n in (c.documents or list(job.rows)) if job.rows[n].state != "running"]
        self.removals.append({n: job.rows[n] for n in gone})
        for number in gone:
            del job.rows[number]
            job.changed.discard(number)
        job.removed += gone
        return {"count": len(gone), "removal": len(self.removals)}

    def on_RestoreDocuments(self, c):
        job = self.jobs[c.job]
        job.rows.update(self.removals[c.removal - 1])
        job.changed.update(self.removals[c.removal - 1])
        return {"count": len(self.removals[c.removal - 1])}

    def on_SetPriority(self, c):
        self.jobs[c.job].priority = c.priority
        return {}

    def on_ListJobs(self, c):
        return {"jobs": [api.plain(j.facts()) for j in self.jobs.values() if not j.deleted]}

    def on_ShowJob(self, c):
        job = self.jobs.get(c.job)
        if job is None or job.deleted:
            self.send(api.Reply(c.request, False, error=f"There is no job {c.job!r}."))
            return None
        job.open = job.reset = True
        job.changed = set(job.rows)
        return {"job": api.plain(job.facts())}

    def on_PutAway(self, c):
        self.jobs[c.job].open = False
        return {}

    def on_RenameJob(self, c):
        self.jobs[c.job].name = c.name
        return {}

    def on_DeleteJob(self, c):
        job = self.jobs[c.job]
        if job.status in ("queued", "running"):
            self.send(api.Reply(c.request, False, error="It is being worked on. Pause or stop it first."))
            return None
        job.deleted, job.open = True, False
        return {}

    def on_RestoreJob(self, c):
        self.jobs[c.job].deleted = False
        return {"job": api.plain(self.jobs[c.job].facts())}

    def on_DuplicateJob(self, c):
        source, job = self.jobs[c.job], Job(c.copy, c.name)
        job.task, job.settings = source.task, source.settings
        for row in source.rows.values():
            number = self.next_id
            self.next_id += 1
            state = row.state if row.state == "skipped" else "waiting"
            fresh = DocumentRow(number, number, row.name, row.path, row.size, state, encoding=row.encoding)
            job.rows[number] = fresh
            job.changed.add(number)
        self.jobs[c.copy] = job
        return {"job": api.plain(job.facts())}

    def on_RunFirst(self, c):
        job = self.jobs[c.job]
        first = [n for n in c.documents if job.rows[n].state == "waiting"]
        job.rows = {n: job.rows[n] for n in (*first, *job.rows)}
        return {"count": len(first)}

    def on_WatchFolder(self, c):
        if c.folder:
            self.on_AddPaths(api.AddPaths(0, c.job, (c.folder,)))
        return {}

    def on_Inspect(self, c):
        if c.document not in self.jobs[c.job].rows:
            self.send(api.Reply(c.request, False, error=f"There is no document {c.document} in this pile."))
            return None
        row = self.jobs[c.job].rows[c.document]
        result = None
        if row.state == "done" and self.jobs[c.job].task == "classify":
            best = c.document % 6
            scores = {name: round(0.52 - 0.07 * ((at - best) % 6), 6) for at, name in enumerate(LABELS)}
            result = {
                "label": LABELS[best],
                "score": scores[LABELS[best]],
                "margin": 0.07,
                "unsure": c.document % 5 == 0,
                "scores": scores,
                "windows": 1,
            }
        elif row.state == "done":
            result = {
                "dimension": 384,
                "norm": 1.0,
                "windows": 2,
                "vector": [round(0.01 * n - 0.05, 4) for n in range(16)],
            }
        text = (
            f"Dear team,\n\nthis is the text of document {c.document}, called {row.name!r}.\n"
            + "It goes on for a while. " * 30
        )
        return {
            "text": text[: c.limit],
            "truncated": False,
            "text_error": "The file is not text." if row.state == "skipped" else "",
            "result": result,
            "row": api.plain(row),
        }

    def on_Preview(self, c):
        policy = c.settings.get("on_overflow", "split")
        prompt = c.settings["prompt"].format(text=f"text {c.document}", name=f"{c.document}.txt", path="")
        long = c.document % 2 == 0
        return {
            "prompt": f"<user>{prompt}<model>",
            "rest": "the end" if long else "",
            "hidden": 1234 if long else 0,
            "template": True,
            "whole": 900 if long else 12,
            "room": 500,
            "window": 600,
            "parts": 0 if policy == "fail" and long else 3 if long else 1,
            "coverage": 0.5 if long and policy in ("head", "tail") else 1.0,
            "policy": policy,
            "reason": "longer than the window" if policy == "fail" and long else "",
        }

    def on_Trial(self, c):
        self.trial, self.trial_left = c, 6

    def end_trial(self, state):
        c, self.trial = self.trial, None
        result = {"text": "one two three", "finish_reason": "end", "tokens_out": 3, "tokens_per_s": 7.5, "ttft": 0.25}
        value = {"document": c.document, "state": state, "reason": "", "seconds": 0.6, "coverage": 1.0}
        self.send(api.Reply(c.request, True, {**value, "result": result if state == "done" else None}))

    def on_StopTrial(self, c):
        if self.trial is not None:
            self.end_trial("cancelled")
        return {}

    def on_CountTokens(self, c):
        waiting = self.jobs[c.job].numbers("waiting")
        policy = c.settings.get("on_overflow", "split")
        return {
            "documents": len(waiting),
            "uncounted": 0,
            "tokens": 100 * len(waiting),
            "longest": 900,
            "space": 500,
            "longer": 2,
            "parts": 6 if policy == "split" else 2,
            "unused": 0 if policy == "split" else 800,
            "policy": policy,
        }

    def on_StopCounting(self, c):
        return {}

    def on_Export(self, c):
        self.exports += 1
        if self.o.export_fails and self.exports <= self.o.export_fails:
            self.send(
                api.Reply(
                    c.request, False, error=f"The disk is full: {c.path} was not written. Make room and try again."
                )
            )
            return None
        rows = self.jobs[c.job].rows.values()
        Path(c.path).write_text("".join(f"{r.name.encode('ascii', 'replace').decode()}\n" for r in rows), "utf-8")
        return {"path": c.path, "rows": len(rows)}

    def on_Shutdown(self, c):
        self.save()
        self.send(api.Reply(c.request, True))
        self.send(api.Bye("asked to"))
        os._exit(0)

    # ---- picture
    def snapshot(self) -> Snapshot:
        self.sequence += 1
        now = time.monotonic()
        self.recent = [r for r in self.recent if r[0] > now - 5] + [(now, self.documents, self.tokens)]
        span = max(now - self.recent[0][0], 0.1)
        told, room, more = [], 2000, False
        opened = [job for job in self.jobs.values() if job.open]
        for job in opened:
            numbers = sorted(job.changed)[:room]
            room -= len(numbers)
            job.changed.difference_update(numbers)
            more = more or bool(job.changed)
            if numbers or job.removed or job.reset:
                told.append(JobRows(job.id, tuple(job.rows[n] for n in numbers), tuple(job.removed), job.reset))
                job.removed, job.reset = [], False
        states = []
        for j in opened:
            counts = j.counts()
            left, done = counts["waiting"] + counts["running"], counts["done"] + counts["failed"]
            eta = j.elapsed * left / done if done > 10 and j.status == "running" else -1.0
            states.append(
                JobState(
                    j.id,
                    j.name,
                    j.status,
                    j.adding,
                    j.priority,
                    j.task,
                    counts,
                    0,
                    0,
                    j.elapsed,
                    eta,
                    "",
                    counts["running"],
                )
            )
        notices, self.notices = tuple(self.notices), []
        busy = any(j.status == "running" for j in self.jobs.values())
        return Snapshot(
            self.sequence,
            now,
            self.model,
            self.plan,
            tuple(states),
            tuple(told),
            more,
            tuple(
                WorkerState(i, "cpu", "encode" if busy else "idle", self.documents, self.tokens, 0.0) for i in (0, 1)
            ),
            tuple(ThreadTime(100 + i, f"worker {i}", time.process_time()) for i in (0, 1)),
            Meters(
                self.documents,
                self.tokens,
                (self.documents - self.recent[0][1]) / span,
                (self.tokens - self.recent[0][2]) / span,
                12 if busy else 0,
                30 if busy else 0,
                410_000_000,
                6_200_000_000,
                16_000_000_000,
                time.process_time(),
                0.2,
            ),
            notices,
            self.trial and TrialState(self.trial.document, "running", "one two three"[: 13 - 2 * self.trial_left], 0.5),
        )


def tasks() -> tuple[api.TaskSpec, ...]:
    common = (
        api.Setting(
            "on_overflow",
            "Long documents",
            "choice",
            "split",
            "split: run all of it in windows",
            ("split", "head", "tail", "fail"),
        ),
        api.Setting("prompt", "Prompt", "text", "", "a text put before each document"),
    )
    return (
        api.TaskSpec("embed", "Embed", "One vector per document", common, keeps_vectors=True),
        api.TaskSpec(
            "classify",
            "Classify",
            "Sort documents into your own labels; no training needed",
            (
                *common,
                api.Setting("labels", "Labels", "labels", "", "one label a line as 'name: description'", required=True),
                api.Setting("threshold", "Unsure below score", "number", 0.0, "a low score", minimum=-1.0, maximum=1.0),
            ),
        ),
        api.TaskSpec(
            "generate",
            "Generate",
            "The model's answer to your prompt about each document",
            (
                api.Setting("prompt", "Prompt", "multiline", "", "what to ask", required=True),
                api.Setting("examples", "Examples", "examples", "", "answers to learn from"),
                api.Setting("max_new_tokens", "Longest answer", "integer", 100, "new tokens", minimum=1, maximum=9999),
                common[0],
            ),
            needs="generate",
            presets=(api.Preset("Summarise", "One sentence", {"prompt": "Summarise: {text}", "max_new_tokens": 64}),),
        ),
        api.TaskSpec(
            "everything",
            "Every kind",
            "One setting of every kind",
            (
                api.Setting("switch", "A switch", "switch", default=True, help="on or off"),
                api.Setting("count", "A count", "integer", 3, "a whole number", minimum=1, maximum=9),
                api.Setting("notes", "Notes", "multiline", "two\nlines", "some text"),
                api.Setting("wanted", "Wanted", "text", "", "has to be there", required=True),
            ),
        ),
    )


def models() -> list[api.ModelFacts]:
    return [
        api.ModelFacts(
            "/models/all-MiniLM-L6-v2",
            "all-MiniLM-L6-v2 (starter)",
            True,
            family="bert",
            architecture="BertModel",
            kind="encoder",
            parameters=22_713_216,
            dtype="float32",
            bytes=90_868_376,
            memory={"float32": 91_000_000, "bf16": 46_000_000},
            dimension=384,
            max_tokens=256,
            pooling="mean",
            capabilities=("encode",),
            source="starter",
        ),
        api.ModelFacts(
            "/models/multilingual-e5-small",
            "multilingual-e5-small",
            True,
            family="xlm-roberta",
            parameters=118_000_000,
            memory={"float32": 470_000_000},
            capabilities=("encode",),
            source="recent",
        ),
        api.ModelFacts(
            "/models/writer",
            "writer-0.5b",
            True,
            family="qwen2",
            architecture="Qwen2ForCausalLM",
            kind="decoder",
            parameters=494_000_000,
            bytes=988_000_000,
            memory={"float32": 2_100_000_000, "bf16": 1_050_000_000},
            max_tokens=32_768,
            capabilities=("generate",),
            source="cache",
            kv_numbers=6144,
        ),
        api.ModelFacts(
            "/models/broken",
            "broken-shards",
            False,
            ("model-00002-of-00003.safetensors is missing. Copy it again.",),
            source="found",
        ),
        *SUPPLIED_WRITER,
    ]


SUPPLIED_WRITER: list[api.ModelFacts] = []
"""What ``--with-writer`` puts into the list."""


def main() -> None:
    a = argparse.ArgumentParser()
    a.add_argument("--session", default="")
    a.add_argument("--parent", type=int, default=0)
    a.add_argument("--stuck", default="")
    a.add_argument("--keep", action="store_true")
    a.add_argument("--shelve", action="store_true")
    a.add_argument("--rows", type=int, default=20)
    a.add_argument("--per-tick", type=int, default=4)
    a.add_argument("--open", default="starter")
    a.add_argument("--slow-pause", action="store_true")
    a.add_argument("--strange", action="store_true")
    a.add_argument("--version", type=int, default=api.VERSION)
    a.add_argument("--hello-after", type=float, default=0.0)
    a.add_argument("--no-hello", action="store_true")
    a.add_argument("--garbage", action="store_true")
    a.add_argument("--load-seconds", type=float, default=0.1)
    a.add_argument("--die-at-start", action="store_true")
    a.add_argument("--die-loading", action="store_true")
    a.add_argument("--die-at", type=int, default=-1)
    a.add_argument("--die-on", default="")
    a.add_argument("--hang-at", type=int, default=-1)
    a.add_argument("--silent-after", type=float)
    a.add_argument("--exit-code", type=int)
    a.add_argument("--marker", default="")
    a.add_argument("--deaths", type=int, default=1)
    a.add_argument("--refuse", default="")
    a.add_argument("--ignore", default="")
    a.add_argument("--export-fails", type=int, default=0)
    a.add_argument("--stderr", action="append", default=[])
    a.add_argument("--notice", action="append", default=[])
    a.add_argument("--with-writer", action="store_true")
    options = a.parse_args()
    if options.with_writer:
        facts = {"kind": "decoder", "parameters": 134_515_008, "capabilities": ("generate",), "source": "writer"}
        SUPPLIED_WRITER.append(
            api.ModelFacts(
                "/models/SmolLM2.gguf", "SmolLM2 135M Instruct (writer)", True, warnings=("It is small.",), **facts
            )
        )
    FakeEngine(options).run()


if __name__ == "__main__":
    main()

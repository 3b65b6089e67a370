"""The ``heddle`` command: run, models, bench, doctor, sample."""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import sys
from collections.abc import Callable
from typing import Any

from engine import __version__, tasks
from engine.api.codec import plain
from engine.api.facts import ModelFacts
from engine.api.plan import Plan
from engine.cli.run_options import RunOptions
from engine.cli.streams import drop_output, secure
from engine.cli.terminal import plain_output
from engine.errors import Cancelled, HeddleError
from engine.installation import same_command
from engine.requests.setting import Setting, named, settings_in
from engine.store.cells import shown
from engine.tasks.base import specification
from engine.telemetry.libraries import prepare_process

PROGRAM = "heddle"


def parser() -> argparse.ArgumentParser:
    """Return the command line, with one sub-command of ``run`` for every task, made from its settings."""
    top = argparse.ArgumentParser(PROGRAM, description="Run a local model over a pile of documents.")
    top.add_argument("--version", action="version", version=f"heddle {__version__}")
    top.add_argument("-v", "--verbose", action="store_true", help="tell on standard error what the engine does")
    top.add_argument(
        "--self-test",
        action="store_true",
        help="try both models on three documents, print what came of it as JSON, and end",
    )
    commands = top.add_subparsers(dest="command", metavar="COMMAND")
    run = commands.add_parser("run", help="run a task over files and folders")
    kinds = run.add_subparsers(dest="task", required=True, metavar="TASK")
    for task in tasks.TASKS.values():
        spec = specification(task)
        one = kinds.add_parser(spec.name, help=spec.help, description=spec.help)
        for setting in spec.settings:
            _add_setting(one, setting)
        _add_run_options(one)
        one.add_argument("paths", nargs="+", metavar="PATH", help="files and folders; folders are walked")
    _add_run_options(commands.add_parser("sample", help="run the sample pile and print its rows"))
    models = commands.add_parser("models", help="look at models without loading them")
    looks = models.add_subparsers(dest="look", required=True, metavar="WHAT")
    check = looks.add_parser("check", help="say what a model is and whether it can run here")
    check.add_argument("folder", metavar="PATH", help="a folder or a GGUF file; starter, writer")
    check.add_argument(
        "--quality", action="store_true", help="load it in every number format and compare with float32 on English text"
    )
    listing = looks.add_parser(
        "list", help="list the starter, the writer, the Hugging Face cache and the folders given"
    )
    listing.add_argument("folders", nargs="*", metavar="DIR")
    bench = commands.add_parser("bench", help="measure against other programs on this machine")
    kinds = bench.add_subparsers(dest="bench", required=True, metavar="WHAT")
    embed = kinds.add_parser("embed", help="embeddings against sentence-transformers' defaults")
    embed.add_argument("--pairs", type=int, default=5, help="pairs of runs, of which the median counts")
    embed.add_argument("--texts", type=int, default=1500, help="number of texts")
    _add_plan(embed, "dtype", "workers", "threads")
    generate = kinds.add_parser("generate", help="texts against transformers, and OpenVINO and llama.cpp if installed")
    _add_bench_generate(generate)
    plan = kinds.add_parser(
        "plan", help="workers, threads and slots for a model, on your own documents; the best is kept"
    )
    plan.add_argument("paths", nargs="+", metavar="PATH", help="files and folders like those that will be run")
    _add_setting(plan, next(one for one in settings_in(RunOptions) if one.name == "model"))
    plan.add_argument("--seconds", type=float, default=90.0, help="how long to measure, about")
    _add_plan(plan, "dtype")
    doctor = commands.add_parser("doctor", help="say what this machine has and what is installed")
    for one in (check, listing, embed, generate, plan, doctor):
        one.add_argument("--json", action="store_true", help="print JSON")
    return top


def _add_bench_generate(one: argparse.ArgumentParser) -> None:
    one.add_argument("--shape", default="0.5b", help="shape of the random weights: 135m, 0.5b, 1.5b or tiny")
    one.add_argument("--pairs", type=int, default=3, help="pairs of runs, of which the median counts")
    one.add_argument("--long", action="store_true", help="prompts of 1,000 to 4,000 tokens, against padded batches")
    one.add_argument("--parts", default="batches", help="what to measure: batches,single,prefix,slot")
    one.add_argument("--peers", default="", help="the other sides, separated by commas; all that can run by default")
    one.add_argument("--peer-python", default="", metavar="PATH", help="the Python that has OpenVINO or llama.cpp")
    one.add_argument("--documents", type=int, default=0, help="number of prompts; 0 takes all of the work")
    one.add_argument("--new-tokens", type=int, default=0, help="length of each answer; 0 takes that of the work")
    _add_plan(one, "dtype", "workers", "threads", "slots")


def _add_plan(one: argparse.ArgumentParser, *names: str) -> None:
    """Add what of a plan can be chosen for our side of a benchmark; what is left open is measured where there is a choice."""
    for setting in settings_in(Plan):
        if setting.name in names:
            _add_setting(one, setting)


def _add_setting(one: argparse.ArgumentParser, setting: Setting) -> None:
    flags = ("--" + setting.name.replace("_", "-"), *setting.aliases)
    text = setting.help.replace("%", "%%")
    if setting.kind == "switch":
        action = argparse.BooleanOptionalAction if setting.default else "store_true"
        one.add_argument(*flags, action=action, default=setting.default, help=text)
        return
    options: dict[str, Any] = {"default": setting.default, "help": text, "required": setting.required}
    if setting.kind in ("number", "integer"):
        options["type"] = int if setting.kind == "integer" else float
    if setting.kind == "choice":
        options["choices"] = setting.choices
    if setting.kind == "examples":
        options |= {"type": _text_of_file, "metavar": "FILE.jsonl"}
    if setting.placeholder:
        options["metavar"] = setting.placeholder
    one.add_argument(*flags, dest=setting.name, **options)


def _text_of_file(path: str) -> str:
    """Return the text of a file named on the command line; nothing where none is named."""
    if not path:
        return ""
    try:
        with open(path, encoding="utf-8-sig") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise argparse.ArgumentTypeError(f"{shown(path)} cannot be read: {error}") from error


def _add_run_options(one: argparse.ArgumentParser) -> None:
    for kind in (Plan, RunOptions):
        for setting in settings_in(kind):
            _add_setting(one, setting)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code: 0 all done, 1 some failed, 2 wrong usage, 130 interrupted."""
    if arguments is not None:
        with plain_output():
            return _main(arguments, None)
    secure()
    with plain_output():
        code = _main(sys.argv[1:], _start_again)
    engines = sys.modules.get("engine.engine")
    if engines is not None and engines.Engine.abandoned:  # Python would wait for its threads
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()
        os._exit(code)
    return code


def _start_again() -> None:
    """Start the same command in this process' place."""
    if sys.platform != "win32":  # where the new process would not be the one that is waited for
        os.execv(sys.executable, same_command())  # noqa: S606 - no shell is wanted


def _main(arguments: list[str], again: Callable[[], object] | None) -> int:
    top = parser()
    options = top.parse_args(arguments)
    if not (options.command or options.self_test):
        top.error("the following arguments are required: COMMAND")
    prepare_process()
    logging.basicConfig(
        level=logging.INFO if options.verbose else logging.ERROR, format="%(levelname)s %(name)s: %(message)s"
    )
    # File names that are not UTF-8 are shown escaped; a terminal that knows less than UTF-8 must not end a run either.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # pyright: ignore[reportAttributeAccessIssue]
    try:
        return _dispatch(options, again)
    except Cancelled:
        sys.stderr.write("Interrupted.\n")
        return 130
    except HeddleError as error:
        sys.stderr.write(f"{PROGRAM}: {error}\n")
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output has seen enough
        drop_output()
        return 0


def _dispatch(options: argparse.Namespace, again: Callable[[], object] | None) -> int:
    if options.self_test:
        from engine.cli.self_test import self_test

        return self_test(sys.stdout)
    if options.command == "run":
        settings = {s.name: getattr(options, s.name) for s in specification(tasks.TASKS[options.task]).settings}
        return _run(options, options.task, settings, options.paths, again)
    if options.command == "sample":
        from engine.cli.sample import sample_order, write_summaries

        task, settings, paths = sample_order()
        code = _run(options, task, settings, paths, again)
        if code == 0 and not options.quiet and not options.model:
            write_summaries(sys.stdout, sys.stderr)
        return code
    if options.command == "models":
        return _models(options)
    if options.command == "bench":
        return _bench(options)
    return _doctor(as_json=options.json)


def _bench(options: argparse.Namespace) -> int:
    if options.bench == "embed":
        from engine.bench.embed import bench_embed

        return bench_embed(
            pairs=options.pairs,
            texts=options.texts,
            plan=Plan("cpu", options.workers, options.threads, options.dtype),
            as_json=options.json,
        )
    if options.bench == "plan":
        from engine.bench.plan import bench_plan
        from engine.models.supplied import default_model

        return bench_plan(
            options.paths,
            options.model or default_model(writes=False),
            options.dtype,
            seconds=options.seconds,
            as_json=options.json,
            say=lambda line: print(line, flush=True),
        )
    from engine.bench.generate import PEERS, Order, bench_generate

    order = Order(
        shape=options.shape,
        plan=Plan("cpu", options.workers, options.threads, options.dtype, options.slots),
        pairs=options.pairs,
        long=options.long,
        parts=tuple(filter(None, options.parts.split(","))),
        peers=tuple(filter(None, options.peers.split(","))) or PEERS,
        peer_python=options.peer_python,
        documents=options.documents,
        new_tokens=options.new_tokens,
    )
    return bench_generate(order, as_json=options.json)


def _run(
    options: argparse.Namespace,
    task: str,
    settings: dict[str, Any],
    paths: list[str],
    again: Callable[[], object] | None,
) -> int:
    from engine.cli.run import run

    return run(
        RunOptions(
            task=task,
            settings=settings,
            paths=paths,
            plan=Plan(**named(options, Plan)),
            **named(options, RunOptions),
        ),
        again=again,
    )


def _models(options: argparse.Namespace) -> int:
    from engine.models.catalog import list_models
    from engine.models.check import check
    from engine.models.place import model_place

    if options.look == "check" and options.quality:
        from engine.bench import quality

        place = model_place(options.folder)
        found = quality.measure(place, lambda name: print(name, "...", file=sys.stderr))
        print(quality.report(place, found, as_json=options.json))
        return 0
    if options.look == "check":
        facts = check(model_place(options.folder))
        if options.json:
            print(json.dumps(_told(facts), indent=2))
        else:
            _print_facts(_told(facts))
        return 0 if facts.usable else 1
    models = list_models(options.folders, ())
    if options.json:
        print(json.dumps([_told(facts) for facts in models], indent=2))
        return 0
    for facts in models:
        state = "usable" if facts.usable else "not usable"
        print(f"{state:<11} {shown(facts.name):<40} {shown(facts.folder)}")
        for problem in facts.problems[:1]:
            print(f"{'':<11} {shown(problem)}")
    return 0


def _told(facts: ModelFacts) -> dict[str, Any]:
    """Return what is known of a model, and the names of the tasks that it can do."""
    able = [task.name for task in tasks.TASKS.values() if task.needs in facts.capabilities]
    return plain(facts) | {"tasks": able}


def _print_facts(facts: dict[str, Any], indent: str = "") -> None:
    """Print nested values as aligned lines, leaving out what is empty."""
    for name, value in facts.items():
        label = indent + name.replace("_", " ")
        if isinstance(value, dict):
            print(f"{label}:")
            _print_facts(value, indent + "  ")
        elif isinstance(value, list):
            for item in value:
                if isinstance(item, dict):
                    print(f"{label}:")
                    _print_facts(item, indent + "  ")
                else:
                    print(f"{label:<18} {shown(str(item))}")
        elif value not in ("", None):
            text = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
            print(f"{label:<18} {shown(text)}")


def _doctor(*, as_json: bool) -> int:
    from engine.models.starter import starter_folder, verify_starter
    from engine.models.writer import verify_writer, writer_file
    from engine.telemetry import machine

    facts = plain(machine.facts())
    try:
        verify_starter(starter_folder())
        facts["starter_model"] = "present, checksum right"
    except HeddleError as error:
        facts["starter_model"] = str(error)
    try:
        verify_writer(writer_file())
        facts["writer_model"] = "present, checksum right"
    except HeddleError as error:
        facts["writer_model"] = str(error)
    facts["memory_available"] = machine.memory_available()
    facts["python"] = sys.version.split()[0]
    if as_json:
        print(json.dumps(facts, indent=2))
    else:
        _print_facts(facts)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""From a folder with a text generator to weights that workers can share: load, pack, and settle on slots or batches."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.api.plan import QUANTISED
from engine.errors import Cancelled, ModelError
from engine.inference.generation.constraints import Grammars
from engine.inference.generation.ends import Ends
from engine.kernels.linears.packed import best_time
from engine.models.check import require_tried
from engine.models.load import Progress, check_memory
from engine.models.number_format import PROBLEMS, DoesNotRunError, in_one_that_runs
from engine.models.pretrained import read_tokenizer, read_weights
from engine.models.tokenizer import WorkerTokenizer
from engine.telemetry import machine

if TYPE_CHECKING:
    import torch

    from engine.api.facts import ModelFacts
    from engine.inference.generation.gates import Mode
    from engine.kernels.linears.format import LinearFormat

log = logging.getLogger(__name__)

UNLIMITED = 8192
"""Tokens a text may come to where neither the config nor the tokenizer sets a limit."""

PROBE = 192
"""Random tokens that channels are measured with: on them they are as large as on English, near enough."""


@dataclass(slots=True)
class LoadedDecoder:
    """A text generator in memory, shared read-only by all workers.

    ``generation`` says whether it runs over slots or in batches; ``overhead`` is the time of a forward with almost
    nothing to compute, in seconds; ``token_time`` the time of a prompt token on one thread.
    """

    facts: ModelFacts
    model: Any
    tokenizer: WorkerTokenizer
    dtype: str
    device: torch.device
    generation: Mode
    max_tokens: int
    ends: Ends
    """What ends an answer."""
    grammars: Grammars
    """What holds answers to a schema."""
    remark: str = ""
    packed_linears: int = 0
    overhead: float = 0.0
    token_time: float = 0.0

    @property
    def mode(self) -> str:
        """How it runs, as the window shows it."""
        return self.generation.kind

    @property
    def closed(self) -> bool:
        """Whether a prompt ends with the tokens that end a text: an encoder reads it, and a decoder writes."""
        return bool(self.model.config.is_encoder_decoder)

    @property
    def note(self) -> str:
        """Why it does not run over slots, or not in the format that is fast; empty where it does."""
        reason = self.generation.reason
        return "; ".join(filter(None, (f"runs in batches: {reason}" if reason else "", self.remark)))

    def worker_limit(self) -> int:
        """Return how many workers the GIL feeds: step time / GIL-held time per step, at 256 tokens a step (law 13)."""
        if self.overhead <= 0:
            return 1024
        return max(1, int((256 * self.token_time + self.overhead) / self.overhead))


def load_decoder(
    folder: str,
    *,
    dtype: str = "auto",
    device: str = "cpu",
    progress: Progress = lambda _stage, _share: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> LoadedDecoder:
    """Load the text generator in ``folder`` for workers on ``device``; raises ModelError or Cancelled as ``load`` does."""
    loaded, remark = in_one_that_runs(
        dtype, device, lambda resolved: _load(folder, resolved, device, progress, cancelled)
    )
    loaded.remark = remark
    return loaded


def _load(folder: str, resolved: str, device: str, progress: Progress, cancelled: Callable[[], bool]) -> LoadedDecoder:
    def stage(name: str, share: float) -> None:
        if cancelled():
            raise Cancelled("The load was cancelled.")
        progress(name, share)

    stage("looking at the folder", 0.0)
    facts = require_tried(folder)
    folder = facts.folder
    if not facts.writes:
        raise ModelError(f"{facts.name} writes no text ({facts.kind}); choose a text generator.")
    check_memory(facts, resolved, device)
    stage("starting torch and transformers", 0.05)
    import torch

    place = torch.device(device)
    stage("reading the tokenizer", 0.15)
    tokenizer = read_tokenizer(facts, folder)
    model, packed, problem = _read(facts, folder, resolved, place, stage)
    stage("checking how it runs best", 0.8)
    from engine.inference.generation.gates import choose_mode

    mode = choose_mode(model, rounded=resolved in QUANTISED)
    if problem is not None and mode.kind != "slots":
        raise DoesNotRunError(facts, resolved, problem) from problem
    ends = tokenizer.ends_of(model)
    loaded = LoadedDecoder(
        facts,
        model,
        tokenizer,
        resolved,
        place,
        mode,
        _longest(model, tokenizer),
        ends,
        grammars=Grammars(tokenizer.definition, int(model.get_input_embeddings().weight.shape[0]), ends.tokens),
        packed_linears=packed,
    )
    stage("measuring", 0.95)
    _measure(loaded)
    machine.give_memory_back()
    progress("ready", 1.0)
    return loaded


def _read(
    facts: ModelFacts, folder: str, resolved: str, place: torch.device, stage: Callable[[str, float], None]
) -> tuple[Any, int, Exception | None]:
    """Return the model with its weights in their format, how many linears were replaced, and why it writes nothing.

    Read once more where the family computes with a replaced linear's weight itself, and where int8 is much closer to the
    model with factors that the first reading tells. Raises ModelError for a model whose
    numbers are none.
    """
    import torch

    from engine.inference.fused import fuse, join
    from engine.kernels.linears.used_weights import used_weights

    plain: frozenset[str] = frozenset()
    factors: dict[str, torch.Tensor] | None = None
    while True:
        model, linears = _read_once(facts, folder, resolved, place, plain, factors, stage)
        logits: list[torch.Tensor] = []
        problems: list[Exception] = []
        used = used_weights(model, functools.partial(_write_a_little, model, logits, problems))
        if not used <= plain:
            log.info("%s computes with the weights of %d linears itself; read again", facts.name, len(used))
            plain |= used
        elif resolved == "int8" and factors is None and (factors := _factors(model)):
            log.info("%s is read again with factors for %d linears", facts.name, len(factors))
        else:
            break
        del model
    if any(bool(each.isnan().any()) for each in logits):
        raise ModelError(
            f"{facts.name} computes numbers that are none (NaN) as {resolved}. Choose float32; if it was that, the "
            f"weights are damaged: download the model again. (Folder: {folder})"
        )
    problem = problems[0] if problems else None
    if linears is None:
        return model, 0, problem
    with torch.no_grad():
        fuse(model)
        join(model, rounded=resolved in QUANTISED)
    machine.give_memory_back()
    return model, linears.replaced, problem


def _read_once(
    facts: ModelFacts,
    folder: str,
    resolved: str,
    place: torch.device,
    plain: frozenset[str],
    factors: dict[str, torch.Tensor] | None,
    stage: Callable[[str, float], None],
) -> tuple[Any, LinearFormat | None]:
    import torch

    from engine.kernels.linears.format import LinearFormat

    linears = None
    if place.type == "cpu":
        stage("trying the machine's matrix products", 0.2)
        linears = LinearFormat(resolved, weights=facts.memory.get(resolved, 0), plain=plain, factors=factors)
    model = read_weights(
        facts,
        folder,
        {"float32": torch.float32, "bf16": torch.bfloat16}[machine.number_dtype(resolved)],
        place,
        _choose_class,
        lambda share: stage("reading the weights", 0.25 + 0.5 * share),
        linears,
    )
    if linears is not None:
        stage("packing the weights", 0.75)
        _settle(model, linears)
    return model, linears


def _factors(model: Any) -> dict[str, torch.Tensor]:
    """Return the factors of the int8 linears by name, or none where they would gain little."""
    import torch

    from engine.inference.generation.check import random_ids
    from engine.kernels.linears.smoothing import WORTH, measure

    def run() -> None:
        ids = random_ids(int(model.get_input_embeddings().weight.shape[0]), PROBE, 2)
        with torch.inference_mode():
            model(input_ids=torch.from_numpy(ids)[None], use_cache=False)

    if model.config.is_encoder_decoder:
        return {}
    try:
        found = measure(model, run)
    except PROBLEMS as error:
        log.info("no factors for %s: %s", type(model).__name__, error)
        return {}
    log.info("factors leave %.2f of the noise of int8 products", found.noise)
    return found.factors if found.noise < WORTH else {}


def _write_a_little(model: Any, logits: list[torch.Tensor], problems: list[Exception]) -> None:
    """Add the logits of two tokens to ``logits``, or to ``problems`` why there are none; slots may do without."""
    import torch

    from engine.inference.generation.fallback import first_logits

    try:
        with torch.inference_mode():
            logits.extend(first_logits(model))
    except PROBLEMS as error:
        log.warning("%s does not write two tokens: %s", type(model).__name__, error)
        problems.append(error)


def _settle(model: Any, linears: LinearFormat) -> None:
    """Give tables and what else was read memory of its own, in its format."""
    import torch

    from engine.kernels.linears.format import settle_tables
    from engine.kernels.mapped import own_weights

    machine.give_memory_back()  # what trials and reading left, before the largest tensors come
    with torch.no_grad():
        # A table that becomes whole numbers is let go as it is read; one that stays is copied before another layout of
        # it is made, so that the file's pages, the copy and the layout are never there together.
        if linears.name not in QUANTISED:
            own_weights(model)
        settle_tables(model, linears)
        own_weights(model)


def _choose_class(transformers: Any, config: Any) -> Any:
    return transformers.AutoModelForSeq2SeqLM if config.is_encoder_decoder else transformers.AutoModelForCausalLM


def _longest(model: Any, tokenizer: WorkerTokenizer) -> int:
    """Return the tokens that prompt and answer may come to together."""
    config = model.config.get_text_config()
    known = [getattr(config, name, None) for name in ("max_position_embeddings", "n_positions", "max_seq_len")]
    known.append(tokenizer.limit)
    return min((n for n in known if isinstance(n, int) and 0 < n < 10_000_000), default=UNLIMITED)


def _measure(loaded: LoadedDecoder) -> None:
    """Fill in ``overhead`` and ``token_time`` from two plain forwards on one thread."""
    import torch

    from engine.inference.generation.check import random_ids

    if loaded.generation.kind != "slots":
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    vocabulary = int(loaded.model.get_input_embeddings().weight.shape[0])
    before = loaded.model.config._attn_implementation  # noqa: SLF001 - transformers has no public name for it
    try:
        loaded.model.set_attn_implementation("sdpa")
        with torch.inference_mode():

            def run(tokens: int) -> float:
                ids = torch.from_numpy(random_ids(vocabulary, tokens, 0))[None].to(loaded.device)
                return best_time(lambda: loaded.model(ids, use_cache=False, logits_to_keep=1), 2)

            loaded.overhead = run(1)
            loaded.token_time = max(1e-9, run(64) - loaded.overhead) / 63
    except (ValueError, RuntimeError) as error:
        log.info("not measured: %s", error)
    finally:
        loaded.model.set_attn_implementation(before)
        torch.set_num_threads(threads)

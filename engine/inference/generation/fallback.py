"""Families that do not run over slots, encoder-decoders among them: batches through transformers' ``generate()``.

Tokens are chosen by our own sampling, row by row, so that settings mean the same as over slots and a document draws from
its own random generator. A batch is padded on the left, where decoders read on; encoders are padded on the right, because
some of them count positions from the first column.
"""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from engine.errors import DocumentError, UsageError
from engine.inference.encoding.attention import running as watching
from engine.inference.encoding.attention import stop_if_cancelled
from engine.inference.generation.check import TOLERANCE, random_ids
from engine.inference.generation.ends import Ends, ends_of
from engine.inference.generation.sampling import TokenIds, choose
from engine.inference.generation.sequence import (
    CANCELLED,
    Event,
    Finished,
    Running,
    Sequence,
    make_running,
)
from engine.inference.generation.statistics import Statistics

if TYPE_CHECKING:
    from engine.inference.generation.gates import Mode
    from engine.inference.generation.text import Decode

log = logging.getLogger(__name__)

Listener = Callable[[list[Event]], None]
"""Called on the worker's thread after every token of a batch, with what is new; it may cancel sequences."""


class BatchGenerator:
    """The generator of one worker over ``generate()``; the same verbs as ``Generator``, but a step is a whole batch."""

    def __init__(
        self,
        model: Any,
        mode: Mode,
        *,
        batch: int = 16,
        batch_tokens: int = 16384,
        max_tokens: int | None = None,
        ends: Ends | None = None,
        decode: Decode | None = None,
        cancelled: Callable[[], bool] | None = None,
        listener: Listener | None = None,
    ) -> None:
        """Run ``model`` as ``mode`` allows: at most ``batch`` sequences, ``batch_tokens`` tokens with padding, at once.

        ``max_tokens`` is the longest a sequence may become, where there is a limit; ``ends`` what ends one, those of the
        model's configurations unless given. Once ``cancelled`` answers true,
        ``step`` raises Cancelled within a layer, and the batch will start anew.
        """
        self._model = model
        self._batch = batch if mode.batch is None else min(batch, mode.batch)
        self._batch_tokens = batch_tokens
        self._alone = mode.alone
        self._max_tokens = max_tokens
        self._decode = decode
        self._cancelled = cancelled
        self._listener = listener
        self._ends = ends_of(model) if ends is None else ends
        self._vocabulary = int(model.get_input_embeddings().weight.shape[0])
        self._waiting: dict[int, tuple[Sequence, float]] = {}
        self._running: dict[int, Running] = {}
        self._taken_back: set[int] = set()
        self.statistics = Statistics()

    def __len__(self) -> int:
        """Return the number of sequences that wait or run."""
        return len(self._waiting) + len(self._running)

    def add(self, sequence: Sequence) -> None:
        """Let ``sequence`` wait for a batch; DocumentError if it is too long, UsageError if it makes no sense."""
        if sequence.id in self._waiting or sequence.id in self._running:
            raise UsageError(f"Sequence {sequence.id} is in this generator already.")
        running = self._make(sequence)
        if self._max_tokens is not None and running.total > self._max_tokens:
            raise DocumentError(
                f"{running.length:,} tokens and up to {running.total - running.length:,} new ones are more than the "
                f"{self._max_tokens:,} that the model takes; choose to split it, or fewer new tokens"
            )
        self._waiting[sequence.id] = (sequence, running.added)

    def cancel(self, number: int) -> Event | None:
        """Take one sequence back and return its last event; a running one ends with the next token, in ``step``."""
        if number in self._running:
            self._taken_back.add(number)
            return None
        if number not in self._waiting:
            return None
        return self._taken(*self._waiting.pop(number))

    def clear(self) -> list[Event]:
        """Take back all sequences that wait."""
        events = [self._taken(*entry) for entry in self._waiting.values()]
        self._waiting.clear()
        return events

    @torch.inference_mode()
    def step(self) -> list[Event]:
        """Run one batch to its end and return the last events of its sequences; nothing when nothing waits.

        Raises Cancelled when the worker's work is cancelled in the middle; the batch then waits again, from its beginning.
        """
        taken = self._take()
        if not taken:
            return []
        now = time.perf_counter()
        rows: list[Running] = []
        for sequence, added in taken:
            running = self._make(sequence)
            running.added, running.admitted = added, now
            rows.append(running)
            del self._waiting[sequence.id]
        self._running = {running.id: running for running in rows}
        watch = _Watch(rows, self._taken_back, self._listener)
        try:
            with self._alone or nullcontext(), watching(None, None, self._cancelled):
                forget_lengths(self._model)
                _generate(self._model, [running.prompt for running in rows], watch, max(_room(r) for r in rows))
        except BaseException:
            self._waiting = {sequence.id: (sequence, added) for sequence, added in taken} | self._waiting
            raise
        finally:
            self._running = {}
            self._taken_back.clear()
        self._count(rows, watch, now)
        return watch.over

    def _make(self, sequence: Sequence) -> Running:
        running = make_running(sequence, self._decode, self._ends, self._vocabulary)
        if self._model.config.is_encoder_decoder:
            running.draw.prompt = running.prompt[:0]  # penalties look at what the decoder has written
        return running

    def _take(self) -> list[tuple[Sequence, float]]:
        """Return the longest sequences that wait, as many as fit, so that padding stays small."""
        result: list[tuple[Sequence, float]] = []
        width = 0
        for sequence, added in sorted(self._waiting.values(), key=lambda entry: -len(entry[0].prompt)):
            width = max(width, len(sequence.prompt) + sequence.settings.max_new_tokens)
            if len(result) == self._batch or (result and (len(result) + 1) * width > self._batch_tokens):
                break
            result.append((sequence, added))
        return result

    def _taken(self, sequence: Sequence, added: float) -> Event:
        waited = time.perf_counter() - added
        return Event(sequence.id, 0, "", Finished(CANCELLED, (), "", len(sequence.prompt), 0, waited, 0.0, 0.0))

    def _count(self, rows: list[Running], watch: _Watch, begin: float) -> None:
        statistics = self.statistics
        statistics.steps += watch.steps
        statistics.prefill_tokens += sum(running.length for running in rows)
        statistics.decode_tokens += sum(max(0, len(running.produced) - 1) for running in rows)
        first = watch.first or time.perf_counter()
        statistics.prefill_seconds += first - begin
        statistics.decode_seconds += time.perf_counter() - first


class _Watch:
    """Chooses each row's token inside ``generate()``, books it, and says which rows are done."""

    def __init__(self, rows: list[Running], taken_back: set[int], listener: Listener | None) -> None:
        self.rows = rows
        self.over: list[Event] = []
        self.steps = 0
        self.first = 0.0
        self._taken_back = taken_back
        self._listener = listener
        self._plain = all(
            r.draw.settings.greedy and not r.draw.settings.penalised and not r.draw.constraint for r in rows
        )

    def choose(self, _ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Leave one token a row: ``generate()`` then takes it as the likeliest."""
        if self._plain:
            return scores
        active = [i for i, running in enumerate(self.rows) if not running.reason]
        tokens = choose(scores[active], [self.rows[i].draw for i in active])
        result = torch.full_like(scores, float("-inf"))
        result[:, 0] = 0.0
        for i, token in zip(active, tokens, strict=True):
            result[i, 0] = float("-inf")
            result[i, token] = 0.0
        return result

    def done(self, ids: torch.Tensor, _scores: Any, **_kwargs: Any) -> torch.Tensor:
        """Book the newest token of every row; return which rows are done, ``[rows]`` boolean."""
        stop_if_cancelled()
        now = time.perf_counter()
        self.first = self.first or now
        self.steps += 1
        news: list[Event] = []
        for running, token in zip(self.rows, ids[:, -1].tolist(), strict=True):
            if running.reason:
                continue
            running.accept(token, now=now)
            running.push()
            if running.id in self._taken_back:
                running.reason = CANCELLED
            (self.over if running.reason else news).append(running.event(now=now))
        if self._listener is not None and news:
            self._listener(news)
        return torch.tensor([bool(running.reason) for running in self.rows], device=ids.device)


def _room(running: Running) -> int:
    return running.draw.settings.max_new_tokens


def forget_lengths(model: torch.nn.Module) -> None:
    """Set "dynamic" rotary positions back to their beginning: they keep the longest text they have ever seen."""
    for module in model.modules():
        if "dynamic" in str(getattr(module, "rope_type", "")) and hasattr(module, "original_inv_freq"):
            held: Any = module
            held.register_buffer("inv_freq", held.original_inv_freq.clone(), persistent=False)
            held.max_seq_len_cached = held.original_max_seq_len


def padded(model: Any, prompts: Iterable[TokenIds]) -> dict[str, torch.Tensor]:
    """Return ``input_ids`` and ``attention_mask`` ``[prompts, longest]`` on the model's device."""
    rows = list(prompts)
    width = max(len(row) for row in rows)
    pad = getattr(model.generation_config, "pad_token_id", None)
    ids = np.full((len(rows), width), pad if isinstance(pad, int) else 0, np.int64)
    mask = np.zeros_like(ids)
    for i, row in enumerate(rows):
        place = slice(0, len(row)) if model.config.is_encoder_decoder else slice(width - len(row), width)
        ids[i, place] = row
        mask[i, place] = 1
    device = model.get_input_embeddings().weight.device
    return {"input_ids": torch.from_numpy(ids).to(device), "attention_mask": torch.from_numpy(mask).to(device)}


def _config(model: Any, new_tokens: int) -> Any:
    """Return the model's generation config for greedy search; ends, lengths and sampling are our own business."""
    config = copy.deepcopy(model.generation_config)
    for name in ("temperature", "top_k", "top_p", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff"):
        setattr(config, name, None)
    for name in ("eos_token_id", "forced_eos_token_id", "max_length", "min_length", "min_new_tokens", "max_time"):
        setattr(config, name, None)
    config.do_sample = False
    config.num_beams = 1
    config.num_return_sequences = 1
    config.early_stopping = False
    config.repetition_penalty = None
    config.max_new_tokens = new_tokens
    config.use_cache = True
    if not isinstance(config.pad_token_id, int):
        config.pad_token_id = 0
    return config


def _generate(model: Any, prompts: list[TokenIds], watch: _Watch, new_tokens: int) -> None:
    from transformers.generation.logits_process import LogitsProcessor, LogitsProcessorList
    from transformers.generation.stopping_criteria import StoppingCriteria, StoppingCriteriaList

    class Choose(LogitsProcessor):
        def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
            return watch.choose(input_ids, scores)

    class Done(StoppingCriteria):
        def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
            return watch.done(input_ids, scores, **kwargs)

    model.generate(
        **padded(model, prompts),
        generation_config=_config(model, new_tokens),
        logits_processor=LogitsProcessorList([Choose()]),
        stopping_criteria=StoppingCriteriaList([Done()]),
    )


def first_logits(model: Any, lengths: Iterable[int] = (7,), new_tokens: int = 2) -> list[torch.Tensor]:
    """Return the logits ``[tokens, rows, vocabulary]`` of random prompts in one batch, and of each of them alone."""
    vocabulary = int(model.get_input_embeddings().weight.shape[0])
    prompts = [random_ids(vocabulary, n, seed) for seed, n in enumerate(lengths)]
    config = _config(model, new_tokens)
    config.output_logits = True
    config.return_dict_in_generate = True
    found: list[torch.Tensor] = []
    for batch in [prompts, *([prompt] for prompt in prompts)] if len(prompts) > 1 else [prompts]:
        forget_lengths(model)
        found.append(torch.stack(model.generate(**padded(model, batch), generation_config=config).logits).float())
    return found


def batches_agree(model: Any) -> bool:
    """Tell whether a row of a padded batch gets the logits that it gets alone; compared as long as the tokens agree."""
    try:
        together, *each = first_logits(model, (7, 18, 12), 4)
        for row, one in enumerate(each):
            ours, alone = together[:, row], one[:, 0]
            same = (ours.argmax(-1) == alone.argmax(-1)).cumprod(0)
            steps = min(len(alone), 1 + int(same.sum()))
            error = float((ours[:steps] - alone[:steps]).square().mean().sqrt() / alone[:steps].std().clamp_min(1e-9))
            if not error <= TOLERANCE.get(next(model.parameters()).dtype, 1e-3):
                log.warning("a batch changes the logits of %s by %.2g", type(model).__name__, error)
                return False
    except (RuntimeError, TypeError, ValueError, AttributeError, KeyError, IndexError) as error:
        log.warning("batches of %s failed (%s); one at a time", type(model).__name__, error)
        return False
    return True

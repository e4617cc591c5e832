"""Training at full size, on one GPU or many: adapters, split and T on a frozen base that does not change.

`accelerate launch --config_file examples/accelerate/ddp.yaml -m iad train iad --preset cogvideox-5b ...` runs
on many GPUs; without `accelerate launch` it takes the one that is there. Killed, it goes on from its last
checkpoint as if nothing had been: the same batches, the same noise, the same steps. A checkpoint has what is
trained alone, gathered from all processes under names that do not depend on how the model was wrapped; its
few facts stand in the header.
"""

import json
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.optim import Optimizer

from iad.checkpoint import check_fit, open_tensors, read_tensors, write_whole
from iad.training.footage import fetch_base
from iad.training.footage_clips import Clips
from iad.training.full_size_loss import (
    FullSizeOptions,
    check_packages,
    create_loss,
    fit_preset,
    write_adapter,
)  # fmt: skip
from iad.training.loop import STATE, append_line, cut_log, part_of, to_device

if TYPE_CHECKING:
    from accelerate import Accelerator
    from accelerate.optimizer import AcceleratedOptimizer
    from tqdm import tqdm

__all__ = ["FullSizeOptions", "train_full_size"]

PATIENCE = timedelta(hours=3)  # of the other processes while one downloads
BETAS, WEIGHT_DECAY, LARGEST_GRADIENT = (0.9, 0.95), 0.01, 1.0


def train_full_size(options: FullSizeOptions) -> Path:
    """Train and return the folder of the adapter, for `IaDPipeline.from_pretrained(..., adapter=)`.

    Writes `log.jsonl`, `checkpoint/` and `adapter/` below `options.output`.

    Raises:
        ValueError: no prepared clips, clips of another size, a missing package, a model that cannot be
            loaded, or a checkpoint of other parts.
    """
    check_packages(options)
    clips = Clips(Path(options.data), options.preset)
    accelerator = _create_accelerator(options)
    with accelerator.main_process_first():  # one process downloads
        base = fetch_base(options.preset, options.base, parts=("scheduler", "transformer", "vae"))
    options = replace(options, preset=fit_preset(base, clips))
    model = create_loss(options, base, device=accelerator.device)
    facts = read_facts(options.output) if options.resume else None
    if facts:
        load_trained(options.output, model)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, options.learning_rate, BETAS, weight_decay=WEIGHT_DECAY)
    model, optimizer = accelerator.prepare(model, optimizer)
    if facts and is_deepspeed(accelerator):
        accelerator.print("DeepSpeed keeps its own optimiser, whose moments start anew; the rest goes on.")
    elif facts:
        load_moments(options.output, model, optimizer.optimizer)
    run = _Run(options, clips, accelerator, model, optimizer)
    run.train(_begin(options, facts, run.facts(0), accelerator))
    if accelerator.is_main_process:
        write_adapter(options, clips, device=accelerator.device)
    accelerator.wait_for_everyone()
    accelerator.end_training()
    return options.output / "adapter"


def _create_accelerator(options: FullSizeOptions) -> "Accelerator":
    from accelerate import Accelerator, InitProcessGroupKwargs

    options.output.mkdir(parents=True, exist_ok=True)
    cuda = torch.cuda.is_available()
    accelerator = Accelerator(
        cpu=not cuda,  # several processes without GPUs talk over gloo
        mixed_precision="bf16" if cuda else "no",
        gradient_accumulation_steps=options.accumulate,
        log_with=options.track,
        project_dir=options.output,
        kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)],
    )
    joined = accelerator.gradient_accumulation_steps
    if joined != options.accumulate:
        raise ValueError(
            f"The launcher's settings join {joined} steps and the training {options.accumulate}; give both "
            "the same number."
        )
    if is_deepspeed(accelerator):  # it asks, for it is given no data loader
        plugin = accelerator.state.deepspeed_plugin
        plugin.deepspeed_config["train_micro_batch_size_per_gpu"] = options.batch
    if options.track:
        plain = {k: str(v) if isinstance(v, Path | tuple) else v for k, v in vars(options).items()}
        plain = {k: v for k, v in plain.items() if isinstance(v, str | int | float)}
        accelerator.init_trackers("iad", config=plain | {"preset": options.preset.name})
    return accelerator


def is_deepspeed(accelerator: "Accelerator") -> bool:
    """Tell whether DeepSpeed shards the optimiser, where nobody else can read it."""
    return str(accelerator.distributed_type).endswith("DEEPSPEED")


def _begin(options: FullSizeOptions, facts: dict | None, now: dict, accelerator: "Accelerator") -> int:
    """Return the step to begin with, and make the log end there."""
    step = facts["step"] if facts else 0
    changed = [key for key, value in now.items() if facts and key != "step" and facts[key] != value]
    if changed:
        names = ", ".join(changed)
        accelerator.print(f"Changed since the checkpoint: {names}; the data comes in another order.")
    if accelerator.is_main_process:
        cut_log(options.output / "log.jsonl", step)
    return step


class _Run:
    """The loop."""

    def __init__(
        self,
        options: FullSizeOptions,
        clips: Clips,
        accelerator: "Accelerator",
        model: nn.Module,
        optimizer: "AcceleratedOptimizer",
    ):
        self.options, self.clips, self.accelerator = options, clips, accelerator
        self.model, self.optimizer, self.begun = model, optimizer, time.monotonic()

    def facts(self, step: int) -> dict[str, Any]:
        """Return where this run stands and what its data order follows from."""
        o = self.options
        world = self.accelerator.num_processes
        order = {"processes": world, "batch": o.batch, "accumulate": o.accumulate, "seed": o.seed}
        return {"step": step, "clips": len(self.clips)} | order

    def train(self, step: int) -> None:
        """Go on from `step` until steps or minutes are over; leaves a checkpoint behind."""
        from tqdm import tqdm

        main = self.accelerator.is_main_process
        bar = tqdm(total=self.options.steps, initial=step, unit="step", desc="iad", disable=not main)
        saved = None
        while step < self.options.steps and not self._late():
            terms = self._step(step)
            step += 1
            bar.update()
            if step % self.options.log_every == 0:
                self._log(step, terms, bar)
            if step % self.options.checkpoint_every == 0:
                self._save(step)
                saved = step
        if saved != step:
            self._save(step)
        bar.close()

    def _late(self) -> bool:
        """Tell whether time is up, on any process's clock."""
        if self.options.minutes is None:
            return False
        late = time.monotonic() - self.begun > self.options.minutes * 60
        flag = torch.tensor([float(late)], device=self.accelerator.device)
        return bool(self.accelerator.reduce(flag, "sum") > 0)

    def _step(self, step: int) -> dict[str, Tensor]:
        options, accelerator = self.options, self.accelerator
        rate = options.learning_rate * min(1.0, (step + 1) / options.warmup)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        sums: dict[str, Tensor] = {}
        for micro in range(options.accumulate):
            with accelerator.accumulate(self.model):
                terms = self.model(self._batch(step * options.accumulate + micro))
                accelerator.backward(terms["total"])
                if accelerator.sync_gradients:
                    trained = [p for p in self.model.parameters() if p.requires_grad]
                    sums["gradient"] = accelerator.clip_grad_norm_(trained, LARGEST_GRADIENT)
                self.optimizer.step()
                self.optimizer.zero_grad()
            for name, value in terms.items():
                sums[name] = sums.get(name, 0.0) + value.detach() / options.accumulate
        return sums

    def _batch(self, step: int) -> dict[str, Any]:
        o, accelerator = self.options, self.accelerator
        place = {"rank": accelerator.process_index, "world": accelerator.num_processes}
        draw = self.clips.draw(step, **place, batch=o.batch, split=o.split_batch, seed=o.seed)
        return to_device(self.clips.batch(draw), accelerator.device)

    def _log(self, step: int, terms: dict[str, Tensor], bar: "tqdm") -> None:
        device = self.accelerator.device
        values = [torch.as_tensor(value, device=device).float() for value in terms.values()]
        mean = self.accelerator.reduce(torch.stack(values), "mean").tolist()
        found = dict(zip(terms, mean, strict=True))
        self.accelerator.log(found, step=step)
        bar.set_postfix(total=f"{found['total']:.4f}")
        if self.accelerator.is_main_process:
            append_line(self.options.output / "log.jsonl", step, time.monotonic() - self.begun, found)

    def _save(self, step: int) -> None:
        model, optimizer = self.model, self.optimizer.optimizer
        if is_deepspeed(self.accelerator):
            model, optimizer = self.accelerator.unwrap_model(model), None
        main = self.accelerator.is_main_process
        save_wrapped(self.options.output, model, optimizer, facts=self.facts(step), main=main)
        self.accelerator.wait_for_everyone()


def save_wrapped(
    output: Path, model: nn.Module, optimizer: Optimizer | None, *, facts: dict[str, Any], main: bool
) -> None:
    """Write what is trained of a wrapped model, and its optimiser; every process calls, `main` writes.

    Args:
        output: the training's folder.
        model: as `accelerate` wrapped it; shards are gathered.
        optimizer: None where it is kept by somebody else.
        facts: small values of JSON, such as the step.
        main: this process writes.
    """
    from torch.distributed.checkpoint import state_dict as gathered

    options = gathered.StateDictOptions(full_state_dict=True, cpu_offload=True, ignore_frozen_params=True)
    trained = {name.removeprefix("module.") for name, p in model.named_parameters() if p.requires_grad}
    state = gathered.get_model_state_dict(model, options=options)
    tensors = {f"model.{name}": value for name, value in state.items() if name in trained}
    if optimizer is not None:
        moments = gathered.get_optimizer_state_dict(model, optimizer, options=options).get("state", {})
        for name, values in moments.items():
            tensors |= {f"optimizer.{name}:{key}": torch.as_tensor(v) for key, v in values.items()}
    if main:
        (output / STATE).parent.mkdir(parents=True, exist_ok=True)
        tensors = {name: value.detach().cpu().clone() for name, value in tensors.items()}
        write_whole(output / STATE, save(tensors, metadata={"facts": json.dumps(facts)}))


def read_facts(output: Path) -> dict[str, Any] | None:
    """Return what was noted beside the last checkpoint of a wrapped model; None where there is none."""
    if not (output / STATE).exists():
        return None
    with open_tensors(output / STATE) as file:
        facts = (file.metadata() or {}).get("facts")
    if facts is None:
        raise ValueError(f"{output / STATE} is no checkpoint of a full-size model; delete it to begin anew.")
    return json.loads(facts)


def load_trained(output: Path, model: nn.Module) -> None:
    """Fill what is trained from the last checkpoint, before the model is wrapped.

    Raises:
        ValueError: it was made with other parts or sizes.
    """
    state = part_of(read_tensors(output / STATE), "model.")
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    check_fit(trained, state, what=f"weights of the checkpoint in {output}")
    model.load_state_dict(state, strict=False)


def load_moments(output: Path, model: nn.Module, optimizer: Optimizer) -> None:
    """Fill the optimiser of a wrapped model from the last checkpoint."""
    from torch.distributed.checkpoint import state_dict as gathered

    state: dict[str, dict[str, Tensor]] = {}
    for key, value in part_of(read_tensors(output / STATE), "optimizer.").items():
        name, what = key.rsplit(":", 1)
        state.setdefault(name, {})[what] = value
    options = gathered.StateDictOptions(full_state_dict=True, ignore_frozen_params=True)
    groups = gathered.get_optimizer_state_dict(model, optimizer, options=options)["param_groups"]
    whole = {"state": state, "param_groups": groups}
    gathered.set_optimizer_state_dict(model, optimizer, whole, options=options)

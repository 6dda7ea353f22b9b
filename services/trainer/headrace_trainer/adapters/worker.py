"""What a Ray Train worker does: load, train, checkpoint, leave the adapter."""

import tempfile
from pathlib import Path
from typing import Any

from headrace_trainer.core.specification import Outcome, Progress, Specification


def train(config: dict[str, Any]) -> None:
    """Run one training; Ray Train gives the last checkpoint when the run's name is known."""
    import ray
    from ray import train as ray_train

    from headrace_models.loading import load_base, load_tokenizer, set_threads
    from headrace_trainer.adapters.rows import train_rows
    from headrace_trainer.core import checkpoint
    from headrace_trainer.core.examples import encode_rows
    from headrace_trainer.core.loop import Loop
    from headrace_trainer.core.lora import add_adapter
    from headrace_trainer.core.plan import plan_training

    specification = Specification.model_validate(config["specification"])
    recipe = specification.train
    set_threads(int(config["threads"]))
    context = ray_train.get_context()
    rank, world = context.get_world_rank(), context.get_world_size()

    tokenizer = load_tokenizer(specification.base)
    rows = train_rows(specification.dataset)
    examples = encode_rows(rows, tokenizer, recipe.max_tokens, specification.system)
    plan = plan_training(len(examples), recipe)
    model = add_adapter(load_base(specification.base), recipe.rank, recipe.seed)
    loop = Loop(model, examples, plan, pad=int(tokenizer.pad_token_id), rank=rank, world=world)
    last = ray_train.get_checkpoint()
    if last:
        with last.as_directory() as folder:
            checkpoint.load(Path(folder), model, loop)
    board = ray.get_actor(config["board"], namespace=config["namespace"])

    def show(progress: Progress) -> None:
        if rank == 0:
            board.put.remote(progress.model_dump())

    def keep() -> None:
        _report(loop.state.step, rank, lambda folder: checkpoint.save(folder, model, loop))

    if rank == 0:
        board.put.remote(
            Progress(
                step=loop.state.step,
                steps=plan.steps,
                loss=loop.state.loss,
                learning_rate=0.0,
                tokens=loop.state.tokens,
                tokens_per_second=0.0,
                resumed_at_step=loop.state.step,
            ).model_dump()
        )
    early = loop.run(recipe.max_minutes * 60, show, recipe.checkpoint_every, keep)
    keep()
    if rank == 0:
        state = loop.state
        outcome = Outcome(
            adapter="",
            steps=state.step,
            planned_steps=plan.steps,
            seconds=state.seconds,
            tokens=state.tokens,
            loss=state.loss,
            stopped_early=early,
        )
        ray.get(board.end.remote(outcome.model_dump()))


def _report(step: int, rank: int, write: Any) -> None:
    """Hand a checkpoint to Ray Train, which keeps it in the run's storage; all workers report."""
    from ray import train as ray_train

    if rank != 0:
        ray_train.report({"step": step})
        return
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder))
        ray_train.report({"step": step}, checkpoint=ray_train.Checkpoint.from_directory(folder))

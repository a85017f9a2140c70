"""What a user may have meant by a command or an option that does not exist.

The tables list names that other tools use. What they miss, similar spelling finds. None of these
names is accepted: the error only suggests the right one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import click

from charlstm.similar_names import closest, options_like

_MOST_LONGER = 3  # options that begin with what was typed, to suggest all of them

# What to type instead of a command.
_COMMANDS = {
    "inspect": "analyze analyse check clean-text lint preview stats statistics",
    "train": "fit learn pretrain build",
    "train --from": "finetune fine-tune tune adapt",
    "train --resume": "resume continue restart",
    "generate": "sample gen write run complete-text create text",
    "predict": "complete completion autocomplete next next-word suggest infer",
    "fill": "gap gaps blank blanks mask infill cloze",
    "score": "perplexity ppl logprob log-probability loss bpc surprisal",
    "evaluate": "test eval validate benchmark accuracy",
    "evaluate --models": "compare versus vs leaderboard",
    "rank": "rerank sort order choose rescore",
    "look": "view open page html browser visualize visualise web",
    "plot": "curve curves chart graph history tensorboard",
    "models": "list ls checkpoints model dir",
    "info": "show describe summary card details",
    "export": "convert onnx keras quantize save",
    "corpora": "download fetch corpus datasets dataset data texts",
    "cache": "clear clean purge",
    "--help": "help usage man",
    "--version": "version",
}
_BY_COMMAND = {name: meant for meant, names in _COMMANDS.items() for name in names.split()}
_REMOVING = "delete del remove rm"

# What is not an option but an argument, or nothing to choose.
_CHECKPOINT = "model checkpoint ckpt load model-path weights model-file m"
_TEXT = "input data corpus text train file files dataset input-file train-data train-file"
_GREEDY = "greedy argmax no-sample deterministic"
_DEVICE = "gpu gpus device cuda no-cuda cpu use-gpu"


def suggestion_for_command(typed: str, commands: Collection[str], rest: Sequence[str] = ()) -> str:
    """Return a question or advice about a command that does not exist, "" if nothing is similar.

    ``rest`` is what follows it on the command line.
    """
    name = typed.lower().replace("_", "-")
    if name == "help" and rest and rest[0] in commands:
        return f"Use charlstm {rest[0]} --help."
    if name in _REMOVING.split():
        return "Remove the folder of a checkpoint to delete it (see charlstm models)."
    meant = _BY_COMMAND.get(name) or closest(name, commands)
    return f"Did you mean {meant}?" if meant else ""


def suggestion_for_option(typed: str, ctx: click.Context | None) -> str:
    """Return a question or advice about an option that does not exist, "" if nothing is similar."""
    if ctx is None:
        return ""
    name = typed.lstrip("-").lower().replace("_", "-")
    params = ctx.command.params
    options = [o for p in params for o in (*p.opts, *p.secondary_opts) if o.startswith("--")]
    known = {option.removeprefix("--"): option for option in options}
    longer = [option for other, option in known.items() if len(name) > 1 and other.startswith(name)]
    candidates = [known.get(name), *options_like(name)]
    if meant := next((each for each in candidates if each in options), None):
        return f"Did you mean {meant}?"
    if advice := _advice(name, ctx):
        return advice
    if 1 < len(longer) <= _MOST_LONGER:
        return f"Did you mean {', '.join(longer[:-1])} or {longer[-1]}?"
    meant = longer[0] if len(longer) == 1 else known.get(closest(name, known) or "")
    return f"Did you mean {meant}?" if meant else ""


def _advice(name: str, ctx: click.Context) -> str:
    """Return what to do instead of giving an option that no option replaces, or ""."""
    arguments = {p.name for p in ctx.command.params if isinstance(p, click.Argument)}
    command = ctx.command_path
    if name in _CHECKPOINT.split():
        if arguments & {"checkpoint", "checkpoints"}:
            return f"Name the checkpoint as the first argument: {command} CHECKPOINT."
        if "corpus" in arguments and ctx.info_name == "train":
            return "Name the checkpoint with -o, --from or --resume."
    if name in _TEXT.split():
        if "corpus" in arguments:
            return f"Name the text as an argument: {command} CORPUS."
        if "files" in arguments:
            return f"Name the text as an argument: {command} CHECKPOINT FILE."
    if name in _GREEDY.split() and any("--temperature" in p.opts for p in ctx.command.params):
        return "Did you mean --temperature 0?"
    if name in _DEVICE.split():
        if ctx.info_name == "train":
            return "Training uses the GPUs that CUDA_VISIBLE_DEVICES lists, by default all."
        return f"{command} runs on the CPU." if "checkpoint" in arguments else ""
    return ""

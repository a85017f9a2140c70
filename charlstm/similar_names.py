"""Which option a user may have meant by a name that does not exist.

The table lists names that other tools use. What it misses, similar spelling finds. None of these
names is accepted: an error only suggests the right one. The command line and the Python interface
share this module.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

# How similar two spellings must be, from 0 to 1. Names of up to three letters must be more so.
_ALIKE, _ALIKE_IF_SHORT, _SHORT = 0.7, 0.8, 3

# What to write instead: the first of these options that the command or function has.
_OPTIONS = {
    "temp": "--temperature",
    "num n number num-samples samples nsamples num-return-sequences": "--count",
    "lr rate alpha": "--learning-rate",
    "batch batch-size bs": "--streams",
    "seq-len seq-length seqlen sequence-len bptt block-size context-length context-size": (
        "--sequence-length"
    ),
    "hidden hidden-size hidden-dim hidden-units rnn-size num-units width dim": "--units",
    "num-layers n-layers n-layer depth": "--layers",
    "embedding-size embedding-dim embed emb emb-size": "--embedding",
    "max-length max-len max-tokens max-new-tokens num-tokens n-tokens len chars": "--length",
    "max-words": "--words --length",
    "output-dir output-file out-dir outdir out outfile save save-dir save-path save-to": "--output",
    "model-dir checkpoint-dir": "--output",
    "backward backwards both-directions both-ways bilstm bi-lstm reverse": "--bidirectional",
    "epoch num-epochs n-epochs max-epochs": "--epochs",
    "step max-steps num-steps iterations iters max-iters iter": "--steps",
    "time max-time minute mins hours": "--minutes",
    "early-stopping early-stop": "--patience",
    "val val-file val-data validation validation-file valid-file dev eval-data": "--valid",
    "val-split validation-split val-fraction val-frac valid-split test-size": "--valid-fraction",
    "eval-interval eval-freq eval-steps validate-every": "--eval-every",
    "save-interval save-freq save-steps checkpoint-every": "--save-every",
    "vocab vocab-len vocabulary vocabulary-size max-vocab": "--vocab-size",
    "min-freq min-frequency": "--min-count",
    "wd l2 decay": "--weight-decay",
    "clip grad-clip gradient-clip clip-grad max-grad-norm": "--clip-norm",
    "drop dropout-rate p-drop": "--dropout",
    "warmup warm-up": "--warmup-steps",
    "optim optimiser opt": "--optimizer",
    "init-from init base base-model pretrained finetune fine-tune start-from": "--from",
    "continue restart load-checkpoint": "--resume",
    "force f yes y replace": "--overwrite",
    "random-seed random-state rng-seed manual-seed": "--seed",
    "topk k": "--top-k --top",
    "topp nucleus": "--top-p",
    "minp": "--min-p",
    "typical-p": "--typical",
    "num-beams beams beam-size beam-width": "--beam",
    "repeat-penalty rep-pen": "--repetition-penalty",
    "logit-bias": "--bias",
    "bad-words exclude-text": "--ban",
    "stop-sequence stop-sequences stop-text stop-string eos end": "--stop",
    "regex pattern grammar": "--match",
    "text start start-text start-string seed-text prime prime-text primer prefix input": "--prompt",
    "prompt prefix": "--context",
    "silent": "--quiet",
    "fp16 fp32 float16 dtype half": "--precision",
    "num-threads nthreads cpus workers jobs j": "--threads",
    "words word-level chars char-level characters tokenizer": "--level --words --tokens",
    "logprobs log-probs token-probs": "--per-token --show-probs",
    "line line-by-line": "--lines",
    "separator sep": "--delimiter",
    "column text-column field": "--columns",
    "charset": "--encoding",
    "deduplicate unique": "--dedupe",
    "plan check": "--dry-run",
    "type to": "--format",
}
_BY_OPTION: dict[str, list[str]] = {}
for _names, _meant in _OPTIONS.items():
    for _name in _names.split():
        _BY_OPTION.setdefault(_name, []).extend(_meant.split())


# Options that have another name in Python, where ``from`` is a keyword.
_IN_PYTHON = {"from": "from_checkpoint", "beam": "beams"}


def options_like(name: str) -> list[str]:
    """Return the options that other tools call by this name, written ``--like-this``."""
    return _BY_OPTION.get(name, [])


def closest(name: str, known: Iterable[str]) -> str | None:
    """Return the name that is spelled most like this one, if any is similar enough."""
    from difflib import get_close_matches

    alike = _ALIKE if len(name) > _SHORT else _ALIKE_IF_SHORT
    return next(iter(get_close_matches(name, list(known), n=1, cutoff=alike)), None)


def similar_argument(name: str, known: Collection[str]) -> str | None:
    """Return the argument of a function that a name may stand for, such as ``lr`` for a rate."""
    options = (option.removeprefix("--").replace("-", "_") for option in options_like(_typed(name)))
    arguments = (_IN_PYTHON.get(option, option) for option in options)
    meant = next((argument for argument in arguments if argument in known), None)
    longer = [each for each in known if len(name) > 1 and each.startswith(name)]
    return meant or (longer[0] if len(longer) == 1 else closest(name.lower(), known))


def _typed(name: str) -> str:
    return name.lower().replace("_", "-")

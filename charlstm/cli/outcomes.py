"""Describes how a run ended, or how far it has come: rows of tables and facts for JSON."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from charlstm.cli.descriptions import describe_steps, describe_waiting

if TYPE_CHECKING:
    from charlstm.checkpoint.schema import Checkpoint, Figures, RunConfig
    from charlstm.training.outcome import Outcome


class KnownRun(NamedTuple):
    """A checkpoint, how its run ended, and what to try next. Before any weights, it has none."""

    checkpoint: Checkpoint
    outcome: Outcome
    advice: str


def describe_end(outcome: Outcome, config: RunConfig) -> str:
    """Return why a run stopped, in a few words."""
    if outcome.state != "finished":
        return {"training": "training now", "unfinished": "interrupted"}[outcome.state]
    if outcome.stop_reason == "early stopping":
        return f"stopped early: no improvement {describe_waiting(config.train)}"
    if outcome.stop_reason is None:
        return "finished"
    if outcome.planned_minutes is not None:
        return f"finished its {_minutes(outcome.planned_minutes)}"
    return f"finished its {describe_steps(outcome.planned_steps or outcome.step or 0)}"


def describe_state(outcome: Outcome, config: RunConfig, folder: Path) -> str:
    """Return why a run stopped, and whether and how it can continue."""
    from charlstm.checkpoint.schema import RESUME

    end = describe_end(outcome, config)
    if outcome.state == "training":
        return f"{end}, in another process"
    if outcome.can_resume:
        return f"{end}; continue with charlstm train --resume {folder}"
    if outcome.state == "unfinished":
        problem = "damaged" if (folder / RESUME).exists() else "missing"
        return f"unfinished; can't be resumed, because {RESUME} is {problem}"
    return end


def describe_length(outcome: Outcome) -> str | None:
    """Return the steps, epochs and minutes of a run, and how many were planned."""
    if outcome.step is None:
        return None
    steps = describe_steps(outcome.step)
    if outcome.planned_steps is not None and outcome.planned_steps != outcome.step:
        steps = f"{outcome.step:,} of {describe_steps(outcome.planned_steps)}"
    parts = [steps]
    if outcome.epochs is not None:
        parts.append(f"epoch {outcome.epochs:.2f}")
    if outcome.seconds is not None:
        parts.append(_time(outcome.seconds / 60, outcome.planned_minutes))
    return ", ".join(parts)


def _time(minutes: float, planned: float | None) -> str:
    if planned is None:
        return _minutes(minutes)
    taken = f"{60 * minutes:.0f}" if planned < 1 else f"{minutes:.1f}"
    return f"{taken} of {_minutes(planned)}"


def describe_fit(outcome: Outcome) -> str | None:
    """Return whether a model overfits, with the losses that show it."""
    from charlstm.training.advice import describe_overfitting, lacks_text

    best, last = outcome.best, outcome.last
    if outcome.overfits is None or best is None or last is None:
        return None
    if outcome.overfits:
        return f"yes: {describe_overfitting(best, last)}"
    end = "" if last.step == best.step else f"; at the end {_losses(last)}"
    but = ", but it knows its training text better" if lacks_text(best) else ""
    return f"no{but}: at the best step {_losses(best)}{end}"


def _losses(figures: Figures) -> str:
    parts = {"training": figures.train_loss, "validation": figures.valid_loss}
    return ", ".join(f"{name} {loss:.3f}" for name, loss in parts.items() if loss is not None)


def _minutes(minutes: float) -> str:
    """Return minutes with at most one decimal, so that 20 stays 20, or seconds if few."""
    if minutes < 1:
        return f"{60 * minutes:.0f} s"
    shown = f"{minutes:,.1f}".removesuffix(".0")
    return f"{shown} minute{'s' * (shown != '1')}"


def outcome_facts(outcome: Outcome, advice: str) -> dict[str, Any]:
    """Return how a run ended by its JSON names."""
    best, last = outcome.best, outcome.last
    return {
        "state": outcome.state,
        "stop_reason": outcome.stop_reason,
        "can_resume": outcome.can_resume,
        "steps": outcome.step,
        "planned_steps": outcome.planned_steps,
        "epochs": outcome.epochs,
        "minutes": outcome.seconds and outcome.seconds / 60,
        "planned_minutes": outcome.planned_minutes,
        "best": best and _point(best),
        "last": last and _point(last),
        "overfits": outcome.overfits,
        "advice": advice,
    }


def _point(figures: Figures) -> dict[str, Any]:
    return {
        "step": figures.step,
        "train_loss": figures.train_loss,
        "valid_loss": figures.valid_loss,
    }

"""Formats probabilities."""

from __future__ import annotations


def show_share(probability: float) -> str:
    """Return a probability with four decimals, or with one digit if they would all be 0."""
    return f"{probability:.4f}" if probability >= 0.00005 else f"{probability:.0e}"

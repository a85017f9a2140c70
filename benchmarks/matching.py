"""Measures how well and how fast ``generate --match`` writes texts that match a pattern.

python -m benchmarks.matching MODEL PATTERN...

Prints the mean log-probability per character under the unconstrained model, and its ratio to that
of unconstrained samples that happen to match. If fewer than ``COUNT`` out of ``FREE`` match, the
ratio is to the best text found by a beam search with 64 beams. Below 1 is better.
"""

import re
import sys
import time

import numpy as np

import charlstm

COUNT, FREE, BATCH, BEAMS = 200, 40_000, 1_000, 64


def rates_of(model, texts):
    """Return the mean log-probability per character of each text, without its end."""
    scores = model.score(*texts, per_token=True)
    return [
        sum(symbol.log_probability for symbol in score.per_token if symbol.text) / len(text)
        for score, text in zip(scores, texts, strict=True)
    ]


def free_matches(model, pattern):
    """Return ``COUNT`` or fewer unconstrained samples that match, and the share that match."""
    ends = model.checkpoint.config.provenance.ends
    until = None if ends else "line"
    found, drawn = [], 0
    while len(found) < COUNT and drawn < FREE:
        found += [
            sample.text
            for sample in model.stream(until=until, length=500, count=BATCH, seed=drawn + 1)
            if sample.finish_reason != "length" and re.fullmatch(pattern, sample.text)
        ]
        drawn += BATCH
    return found[:COUNT], len(found) / drawn


def main(path, *patterns):
    model = charlstm.load(path)
    for pattern in patterns:
        begin = time.perf_counter()
        texts = [sample.text for sample in model.generate(count=COUNT, seed=1, match=pattern)]
        seconds = time.perf_counter() - begin
        if not all(re.fullmatch(pattern, text) for text in texts):
            raise SystemExit(f"not all samples match {pattern}")
        rate = np.mean(rates_of(model, [text for text in texts if text]))
        found, share = free_matches(model, pattern)
        if len(found) == COUNT:
            reference, other = f"{share:.1%} of free samples match", np.mean(rates_of(model, found))
        else:
            (best,) = model.most_likely(match=pattern, beams=BEAMS)
            reference, (other,) = f"the best of {BEAMS} beams", rates_of(model, [best.text])
        print(
            f"{pattern:<28} {1000 * seconds / COUNT:6.1f} ms per sample  "
            f"{rate:.3f} nats per character, {rate / other:.2f} times {other:.3f} ({reference}), "
            f"{len(set(texts))} of {COUNT} distinct"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Misspell sentences, list corrections for `charlstm rank`, and count what was corrected.

python3 spelling.py misspell FOLDER TEXT...   FOLDER/sentences to FOLDER/typed and FOLDER/groups
python3 spelling.py report FOLDER             FOLDER/ranked, from `charlstm rank --json`

The words of the TEXTs are the known words, and their frequencies rank the corrections of the
baseline. A third of the sentences gets a typing error, a third a confused word, a third none.
"""

import json
import random
import re
import sys
from collections import Counter
from pathlib import Path

from common import error_of_share, read

LETTERS = "abcdefghijklmnopqrstuvwxyz"
WORD = re.compile(r"\b[a-z]+(?:'[a-z]+)?\b")  # Names and other capitalized words stay as they are.
CONFUSED = [sets.split() for sets in (
    "their there they're", "its it's", "to too two", "then than", "your you're", "whose who's",
    "of off", "lose loose", "quite quiet", "from form", "where were wear", "affect effect",
    "passed past", "whether weather", "accept except", "here hear", "know no now", "knew new",
    "write right", "which witch", "threw through", "peace piece", "principal principle",
)]  # fmt: skip
OTHERS = {word: [w for w in group if w != word] for group in CONFUSED for word in group}
GAIN = 6.0  # A change must gain this much (nats): about one word in 400 is expected to be wrong.


def edits(word):
    """Return all texts that one typing error makes of a word, as in Norvig's spelling corrector."""
    splits = [(word[:i], word[i:]) for i in range(len(word) + 1)]
    deleted = [a + b[1:] for a, b in splits if b]
    transposed = [a + b[1] + b[0] + b[2:] for a, b in splits if len(b) > 1]
    replaced = [a + c + b[1:] for a, b in splits if b for c in LETTERS]
    inserted = [a + c + b for a, b in splits for c in LETTERS]
    return set(deleted + transposed + replaced + inserted) - {word}


def known_edits(word, known, number):
    """Return the most frequent known words that are one typing error away."""
    return sorted(edits(word) & known.keys(), key=lambda w: (-known[w], w))[:number]


def with_word(sentence, match, word):
    """Return the sentence with another word in the place of a match."""
    return sentence[: match.start()] + word + sentence[match.end() :]


def misspell(sentence, kind, rng):
    """Return the sentence with one error: 0 a typing error, 1 a confused word, 2 none."""
    words = [m for m in WORD.finditer(sentence) if kind == 1 or len(m[0]) > 3]
    if kind == 1:
        words = [m for m in words if m[0] in OTHERS]
    if kind == 2 or not words:
        return sentence
    match = rng.choice(words)
    choices = OTHERS[match[0]] if kind == 1 else sorted(edits(match[0]))
    return with_word(sentence, match, rng.choice(choices))


def corrections(sentence, known):
    """Return the sentence and all that one correction of one word makes of it."""
    result = [sentence]
    for match in WORD.finditer(sentence):
        word = match[0]
        edited = known_edits(word, known, 3 if word in known else 8) if len(word) > 2 else []
        words = dict.fromkeys(edited + OTHERS.get(word, []))
        result += [with_word(sentence, match, other) for other in words]
    return result


def by_frequency(sentence, known):
    """Return the sentence with each unknown word replaced by the most frequent known one."""
    return WORD.sub(
        lambda m: m[0] if m[0] in known else next(iter(known_edits(m[0], known, 1)), m[0]),
        sentence,
    )


def count_words(paths):
    """Return the known words, at least two occurrences each, with their frequencies."""
    words = Counter()
    for path in paths:
        words.update(WORD.findall(read(path).replace("’", "'")))
    return {word: count for word, count in words.items() if count > 1}


def prepare(folder, texts):
    """Write the misspelled sentences, and groups of alternatives for `charlstm rank`."""
    rng, known, wrong = random.Random(1), count_words(texts), 0
    with open(folder / "groups", "w") as groups, open(folder / "typed", "w") as typed:
        for index, sentence in enumerate((folder / "sentences").read_text().splitlines()):
            bad = misspell(sentence, index % 3, rng)
            kind = index % 3 if bad != sentence else 2
            wrong += bad != sentence
            typed.write(json.dumps([kind, sentence, bad, by_frequency(bad, known)]) + "\n")
            groups.write("\t".join(dict.fromkeys(corrections(bad, known))) + "\n")
    if not wrong:
        sys.exit("No word can be misspelled. Give an English text.")


def choose(ranked, typed):
    """Return the best alternative if it is much more probable than the typed sentence."""
    scores = {a["text"]: a["log_probability"] for a in ranked["alternatives"]}
    best = max(scores, key=scores.get)
    return best if scores[best] > scores[typed] + GAIN else typed


def report(folder):
    """Print how many errors each method corrected, and how many right words it changed."""
    typed = [json.loads(line) for line in (folder / "typed").read_text().splitlines()]
    ranked = [json.loads(line) for line in (folder / "ranked").read_text().splitlines()]
    methods = {
        "charlstm": [choose(r, bad) for r, (_, _, bad, _) in zip(ranked, typed, strict=True)],
        "word frequencies": [corrected for *_, corrected in typed],
    }
    print(f"{'':17} errors corrected  typing errors  confused words  right words broken")
    summary = []
    for name, texts in methods.items():
        errors, fixed, right, broken = Counter(), Counter(), 0, 0
        for (kind, meant, bad, _), text in zip(typed, texts, strict=True):
            for a, b, c in zip(meant.split(), bad.split(), text.split(), strict=True):
                errors[kind] += a != b
                fixed[kind] += a != b and a == c
                right += a == b
                broken += a == b != c
        share = fixed.total() / errors.total()
        deviation = 100 * error_of_share(fixed.total(), errors.total())
        parts = [f"{fixed[kind]} of {errors[kind]}" for kind in (0, 1)]
        parts.append(f"{broken} of {right:,}")
        print(f"{name:17} {share:8.1%} ± {deviation:3.1f}", end="   ")
        print(f"{parts[0]:>13} {parts[1]:>15} {parts[2]:>19}")
        words = f"{broken} right word{'s' * (broken != 1)}"
        summary.append(f"{name} corrected {share:.0%} of the errors and broke {words}")
    print("; ".join(summary).capitalize() + ".")


if __name__ == "__main__":
    command, folder, *texts = sys.argv[1:]
    prepare(Path(folder), texts) if command == "misspell" else report(Path(folder))

"""Make a chat, clean an exported one, and compare scores of its lines (for chat.sh)."""

import json
import math
import random
import re
import sys
from pathlib import Path

from common import error_of_sum

# "[31/12/23, 10:00:05] Ann: hello", "12/31/23, 10:00 p.m. - Ann: hello", "10:00 <Ann> hello"
TIME = r"\[?[-\d/.,T \u202f]*\d[:.]\d\d(?:[:.]\d\d)?[\s,]*(?:[ap]\.?\s?m\.?)?\]?\s*(?:[-–]\s*)?"
DATED = re.compile(rf"{TIME}<?((?![\s\]–-])[^:<>]{{1,40}})[>:](?:\s(.*)|$)", re.IGNORECASE)
UNDATED = re.compile(r"<?((?![\d\s\[])[^:;,!?<>]{1,30})[>:](?:\s(.*)|$)")


def make():
    """Print the made-up chat of two friends. An answer depends on what was said before it."""
    draw = random.Random(1)
    places = ["the station", "the library", "the old bridge", "my office", "the market", "the pool"]
    foods = ["pizza", "soup", "noodles", "curry", "pancakes", "salad", "dumplings", "sandwiches"]
    skies = ["raining", "snowing", "sunny", "windy"]
    for _ in range(1500):
        place, food, sky = draw.choice(places), draw.choice(foods), draw.choice(skies)
        hour, one_of = draw.randrange(1, 12), draw.choice
        talks = [
            f"""Ann: {one_of(["hi", "hey", "hello"])}, shall we meet at {place} at {hour}?
Ben: ok, {place} at {hour} {one_of(["is fine", "works for me", "it is"])}""",
            f"""Ann: can we meet at {hour}?
Ben: {one_of(["that", f"{hour}"])} is too early, can we say {hour + 1}?
Ann: {hour + 1} then
Ben: {one_of(["thanks", "good"])}, see you at {hour + 1}""",
            f"""Ann: I feel like {food} {one_of(["today", "tonight", "for once"])}
Ben: {one_of(["great", "again", "why not"])}! I'll buy what we need for {food}""",
            f"""Ben: {one_of(["sorry", "oh no"])}, the bus is late, are you at {place} already?
Ann: {one_of(["yes", "almost", "not yet"])}, take your time
Ben: thanks, I'll be at {place} at {hour}""",
            f"""Ann: is it {sky} where you are?
Ben: {one_of(["yes", "no, not", "a bit"])} {sky} here""",
        ]
        print(one_of(talks))


def clean():
    """Print each message of an export as one line: the name, a colon and the text.

    Where messages have dates, a line without one belongs to the message before it.
    """
    messages, lines = [], [line.strip("\u200e \t\n") for line in sys.stdin]
    dated, undated = (sum(map(bool, map(form.match, lines))) for form in (DATED, UNDATED))
    form = DATED if dated >= undated else UNDATED
    for text in lines:
        found = form.match(text)
        if found:
            messages.append([f"{found[1]}:", found[2] or ""])
        elif messages:
            messages[-1].append(text)
    for name, *texts in messages:
        if any(texts):
            print(name, *filter(None, texts))


def order_of(count):
    """Return the numbers below ``count`` in the shuffled order."""
    return random.Random(1).sample(range(count), count)


def shuffle(path):
    """Print the lines of a file in shuffled order."""
    lines = Path(path).read_text().split("\n")[:-1]
    for index in order_of(len(lines)):
        print(lines[index])


def bits_of(scores, speaker):
    """Return the bits and characters of each message of the speaker, without the name."""
    found, start = [], len(speaker) + 1
    for line in scores:
        text = line["text"]
        if text.startswith(f"{speaker}:") and len(text) > start:
            position, nats = 0, 0.0
            for token in line["per_token"]:
                if start <= position < len(text):
                    nats -= token["log_probability"]
                position += len(token.get("text") or "")
            found.append((nats / math.log(2), len(text) - start))
    return found


def compare(speaker, context, shuffled):
    """Print the bits per character of the speaker's messages, in order and shuffled."""
    context, shuffled = (
        [json.loads(line) for line in Path(path).read_text().split("\n")[:-1]]
        for path in (context, shuffled)
    )
    ordered = sorted(zip(order_of(len(shuffled)), shuffled, strict=True), key=lambda pair: pair[0])
    alone = [score for _, score in ordered]
    pairs = list(zip(bits_of(context, speaker), bits_of(alone, speaker), strict=True))
    characters = sum(length for (_, length), _ in pairs)
    after, before = (sum(pair[side][0] for pair in pairs) / characters for side in (0, 1))
    saved = before - after
    error = error_of_sum([b - a - saved * n for (a, n), (b, _) in pairs]) / characters
    print(f"\nBits per character of {len(pairs)} held-out messages by {speaker}:")
    print(f"after the conversation  {after:.3f}")
    print(f"in shuffled order       {before:.3f}")
    print(f"difference              {saved:.3f} ± {error:.3f}\n")
    if saved > 2 * error:
        print(f"The conversation saves {saved / before:.0%} of the bits: answers depend on it.")
    elif saved >= -2 * error:
        print("The conversation makes no difference: the model doesn't use it to answer.")
    else:
        print(f"The conversation costs {-saved / before:.0%} of the bits: it misleads the model.")


if __name__ == "__main__":
    commands = {"make": make, "clean": clean, "shuffle": shuffle, "compare": compare}
    commands[sys.argv[1]](*sys.argv[2:])

"""Make a chat, clean an exported one, and compare scores of its lines (for chat.sh)."""

import json
import math
import random
import re
import sys
from pathlib import Path

# "[31/12/23, 10:00:05] Ann: hello", "12/31/23, 10:00 AM - Ann: hello", "10:00 <Ann> hello"
DATE = r"\[?\d[-\d/.,: \u202fT]*(?:[AP]M)?\]? ?(?:- )?"
MESSAGE = re.compile(rf"(?:{DATE})?<?(\w[\w .'-]{{0,30}})[>:](?:\s(.*)|$)")


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
    """Print each message of an export as one line: the name, a colon and the text."""
    messages = []
    for line in sys.stdin:
        text = line.strip("\u200e\ufeff \t\r\n")
        found = MESSAGE.match(text)
        if found:
            messages.append([f"{found[1]}:", found[2] or ""])
        elif messages:
            messages[-1].append(text)
    for name, *texts in messages:
        if any(texts):
            print(name, *filter(None, texts))


def bits_of(path, speaker):
    """Return the bits and characters of each message of the speaker, without the name."""
    found, start = [], len(speaker) + 1
    for line in map(json.loads, Path(path).read_text().split("\n")[:-1]):
        text = line["text"]
        if text.startswith(f"{speaker}:") and len(text) > start:
            position, nats = 0, 0.0
            for token in line["per_token"]:
                if start <= position < len(text):
                    nats -= token["log_probability"]
                position += len(token.get("text") or "")
            found.append((nats / math.log(2), len(text) - start))
    return found


def compare(speaker, context, alone):
    """Print the bits per character of the speaker's messages, with and without context."""
    pairs = list(zip(bits_of(context, speaker), bits_of(alone, speaker), strict=True))
    characters = sum(length for (_, length), _ in pairs)
    after, before = (sum(pair[side][0] for pair in pairs) / characters for side in (0, 1))
    saved = before - after
    rest = sum((b - a - saved * length) ** 2 for (a, length), (b, _) in pairs)
    print(f"Bits per character of {len(pairs)} held-out messages by {speaker}:")
    print(f"after the conversation  {after:.3f}")
    print(f"without it              {before:.3f}")
    error = rest**0.5 / characters
    print(f"difference              {saved:.3f} ± {error:.3f}\n")
    if saved > 2 * error:
        print(f"The conversation saves {saved / before:.0%} of the bits: answers depend on it.")
    else:
        print("The conversation doesn't help: answers will have the manner, but make no sense.")


if __name__ == "__main__":
    {"make": make, "clean": clean, "compare": compare}[sys.argv[1]](*sys.argv[2:])

"""The page of ``charlstm look`` in headless Chromium: size, start, speed of writing and reading.

python -m benchmarks.page [CHECKPOINT] [TEXT]
"""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.timing import processor, seconds_of
from tests.browser import Browser, find_browser

ROOT = Path(__file__).parents[1]
READ = 20_000  # characters
RUNS = 3
NOTE = "document.querySelector('#write-note')?.textContent"
WATCH = """(() => {
  globalThis.gaps = [];
  let last = performance.now();
  const tick = () => {
    const now = performance.now();
    gaps.push(now - last);
    last = now;
    setTimeout(tick, 0);
  };
  tick();
})()"""
PASTE = """(() => {
  performance.clearMarks("read");
  gaps.length = 0;
  const field = document.querySelector("#text");
  field.value = %s;
  field.dispatchEvent(new Event("input"));
})()"""


def measure(browser, page, text):
    """Return seconds to the first text, tokens per second, seconds to read, the pause in ms."""
    begin = time.perf_counter()
    browser.open(page)
    browser.until("performance.getEntriesByName('first text').length")
    first = time.perf_counter() - begin
    speed = int(browser.until(f"({NOTE}?.match(/([\\d,]+) a second/) ?? [])[1]").replace(",", ""))
    browser.run(WATCH)
    begin = time.perf_counter()
    browser.run(PASTE % json.dumps(text))
    browser.until("performance.getEntriesByName('read').length", 600)
    seconds = time.perf_counter() - begin
    return first, speed, seconds, browser.run("Math.max(...gaps)")


def main(checkpoint="shakespeare", path=None):
    if find_browser() is None:
        print("The page: Chromium is not installed")
        return
    text = Path(path).read_text(encoding="utf-8") if path else ""
    if len(text) < READ:
        import charlstm

        text = charlstm.load(checkpoint).generate(length=READ, seed=1)[0].text
    browser = Browser(find_browser())
    try:
        with tempfile.TemporaryDirectory() as folder:
            page = Path(folder) / "page.html"
            written = seconds_of("look", checkpoint, "-o", page)
            size = page.stat().st_size / 1e6
            runs = [measure(browser, page, text[:READ]) for _ in range(RUNS)]
    finally:
        browser.close()
    first, speed, seconds, pause = map(statistics.median, zip(*runs, strict=True))
    print(f"The page of {checkpoint} ({processor()}, medians of {RUNS})")
    print(f"  written in {written:.2f} s, {size:.1f} MB; first text {first:.2f} s after opening")
    print(f"  writes {speed:,} tokens a second")
    print(f"  reads {READ:,} characters in {seconds:.1f} s, longest pause {pause:.0f} ms")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Takes pictures of a part of the page of ``charlstm look``, light and dark.

python -m figures.page MODEL TEXT [--part back] [--at TOKEN] -o docs/figures/NAME

Needs Chromium. It writes NAME-light.png and NAME-dark.png.
"""

from __future__ import annotations

import argparse
import base64
import io
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from tests.browser import Browser, find_browser

SIZE = (1100, 1800)
SCALE = 2  # pixels of the picture per pixel of the page
COLORS = 64
PARTS = ("write", "read", "inside", "back", "about")


def take(model: str, text: str, part: str, at: int | None, *, dark: bool) -> bytes:
    """Return the picture of a part, as the bytes of a PNG.

    Args:
        model: a checkpoint folder or a name.
        text: the text that the page reads, at most 1,500 tokens.
        part: the identifier of a section of the page.
        at: the number of the outlined token, counting from 0; ``None`` for the last.
        dark: whether the colors are those of the dark variant.

    Raises:
        subprocess.CalledProcessError: if the page can't be written.
    """
    executable = find_browser()
    assert executable is not None, "needs Chromium"
    with tempfile.TemporaryDirectory() as folder:
        source, page = Path(folder) / "text.txt", Path(folder) / "page.html"
        source.write_text(text, "utf-8")
        command = [sys.executable, "-m", "charlstm", "look", model, str(source), "-o", str(page)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        browser = Browser(executable)
        try:
            browser.open(page, size=SIZE, dark=dark)
            browser.until("performance.getEntriesByName('looked').length")
            if at is not None:
                browser.run(
                    f"document.querySelectorAll('#unit-text span')[{at}]"
                    ".dispatchEvent(new MouseEvent('mousemove', { bubbles: true })); 0"
                )
            box = browser.run(f"document.querySelector('#{part}').getBoundingClientRect().toJSON()")
            clip = {key: box[key] for key in ("x", "y", "width", "height")} | {"scale": SCALE}
            data: str = browser.call("Page.captureScreenshot", clip=clip)["data"]
            return base64.b64decode(data)
        finally:
            browser.close()


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the picture that the arguments ask for."""
    parser = argparse.ArgumentParser(prog="python -m figures.page")
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("text", metavar="TEXT")
    parser.add_argument("--part", choices=PARTS, default="back")
    parser.add_argument("--at", type=int, metavar="TOKEN", help="default: the last token")
    parser.add_argument("-o", dest="output", type=Path, required=True, metavar="NAME")
    options = parser.parse_args(arguments)
    for variant in ("light", "dark"):
        data = take(options.model, options.text, options.part, options.at, dark=variant == "dark")
        path = options.output.with_name(f"{options.output.name}-{variant}.png")
        Image.open(io.BytesIO(data)).convert("RGB").quantize(COLORS).save(path, optimize=True)
        print(path)


if __name__ == "__main__":
    main()

"""Pictures of the console for the documents: starts the demo, looks at its pages, and writes docs/images/*.png."""

import asyncio
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from tests.support.browser import DESKTOP, PHONE, Theme, Visitor, chromium

IMAGES: Final = Path(__file__).parents[2] / "docs" / "images"
LARGEST: Final = 150_000
"""Bytes of a picture."""
READY: Final = 180
"""Seconds that the demo may take."""
PICTURES: Final[dict[str, tuple[str, Theme, tuple[int, int]]]] = {
    "dashboard": ("/", "light", DESKTOP),
    "dashboard-dark": ("/", "dark", DESKTOP),
    "dashboard-phone": ("/", "light", PHONE),
    "models": ("/models", "light", DESKTOP),
    "integrations": ("/integrations", "light", DESKTOP),
    "day": ("/days/{restated}", "light", DESKTOP),
}
"""Path, theme and size by name."""


async def main() -> None:
    demo = await asyncio.create_subprocess_exec(Path(sys.executable).with_name("grafient"), "demo", stdout=PIPE)
    try:
        async with asyncio.timeout(READY):
            link = await _link(demo)
        await _take(link)
    finally:
        demo.send_signal(signal.SIGINT)
        await demo.wait()


async def _link(demo: asyncio.subprocess.Process) -> str:
    """The link that opens the console, once the demo has printed its last line."""
    assert demo.stdout is not None
    link = ""
    async for line in demo.stdout:
        link = match[0] if (match := re.search(r"http\S+/enter\?\S+", line.decode())) else link
        if line.startswith(b"All of this was there"):
            return link
    raise RuntimeError("the demo ended")


async def _take(link: str) -> None:
    restated = datetime.now(UTC).date() - timedelta(days=3)
    async with chromium() as browser:
        visitor = Visitor(browser)
        first = await visitor.page()
        await first.goto(link)
        await first.click("main button")
        session = await first.context.storage_state()
        IMAGES.mkdir(exist_ok=True)
        for name, (path, theme, size) in PICTURES.items():
            page = await visitor.page(theme, size, storage_state=session)
            await page.goto(link.partition("/enter")[0] + path.format(restated=restated))
            await page.screenshot(path=IMAGES / f"{name}.png")
            assert (IMAGES / f"{name}.png").stat().st_size <= LARGEST, name


if __name__ == "__main__":
    os.environ.pop("DISPLAY", None)  # the demo opens no browser of its own
    asyncio.run(main())

"""A real Chromium, and what a test asks of a page. Faults of a page are collected: a test ends with none."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from tempfile import TemporaryDirectory
from typing import Any, Literal
from urllib.parse import urlsplit

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Request, Response, async_playwright

from tests.support.node import PACKAGES

Theme = Literal["light", "dark"]

CHROMIUM = PACKAGES / ".chromium"
"""Where `make node` unpacks the browser."""
AXE = PACKAGES / "axe-core" / "axe.min.js"
DESKTOP, PHONE = (1280, 900), (390, 844)
"""Width and height in CSS pixels."""
DEADLINE = 10_000.0
"""Milliseconds that a page has for what a test expects of it."""

OVERFLOWING = """() => [...document.querySelectorAll("body *")].filter((one) => {
  if (one.closest("[data-scrolls]") && !one.matches("[data-scrolls]")) return false;
  const box = one.getBoundingClientRect();
  return box.width > 0 && (box.right > innerWidth + 1 || box.left < -1) && getComputedStyle(one).position !== "absolute";
}).map((one) => one.outerHTML.slice(0, 120)).concat(
  document.documentElement.scrollWidth > innerWidth ? [`the page is ${document.documentElement.scrollWidth} wide`] : []
)"""
# In a chart the tab key reaches one day, and the arrows the others.
CONTROLS = """() => [...document.querySelectorAll(
  "a[href]:not(svg [tabindex='-1']), button, input:not([type=hidden]), select, textarea, summary, [tabindex='0']"
)].filter((one) => one.checkVisibility({ visibilityProperty: true }) && !one.disabled && !one.closest("[inert]"))
  .filter((one) => one.getAttribute("tabindex") !== "-1" || !one.closest("day-chart, day-calendar"))  // arrows do
  .filter((one) => one.type !== "radio" || one.checked || !document.querySelector(`[name="${one.name}"]:checked`))
  .map((one, number) => { one.dataset.number = number; return one.outerHTML.slice(0, 160); })"""
FOCUSED = """() => {
  const one = document.activeElement, style = getComputedStyle(one);
  const stroked = [...one.querySelectorAll("rect")].some((each) => parseFloat(getComputedStyle(each).strokeWidth) >= 2);
  const visible = style.outlineStyle !== "none" || style.boxShadow !== "none" || (one.ownerSVGElement && stroked)
    || one.type === "date" || one === document.body; // the part of a date shows it
  return { number: Number(one.dataset.number ?? -1), visible, html: one.outerHTML.slice(0, 160) };
}"""


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """The browser that `make node` has unpacked, as strict as a customer's, apart from its sandbox."""
    paths = {"LD_LIBRARY_PATH": CHROMIUM / "al2023" / "lib", "FONTCONFIG_FILE": CHROMIUM / "fonts.conf"}
    with TemporaryDirectory() as folder:  # it leaves memory that it shares there when it is closed
        own = {name: str(path) for name, path in paths.items()} | {"TMPDIR": folder}
        async with (
            async_playwright() as playwright,
            await playwright.chromium.launch(
                executable_path=CHROMIUM / "chromium",
                args=["--no-sandbox"],  # which is refused to root, and needs rights that containers lack
                env={**os.environ, **own},
            ) as browser,
        ):
            yield browser


class Visitor:
    """A person with a browser: pages of one visitor share cookies with no other visitor's."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._sessions: list[BrowserContext] = []
        self.problems: list[str] = []
        """Errors of scripts, violations of the security policy, requests to other hosts, resources that failed."""

    async def page(self, theme: Theme = "light", size: tuple[int, int] = DESKTOP, **options: Any) -> Page:
        """A page in a new session; `java_script_enabled=False` switches script off. Ends with the browser."""
        context = await self._browser.new_context(
            color_scheme=theme,
            viewport={"width": size[0], "height": size[1]},
            reduced_motion="reduce",  # nothing is judged half way
            locale="en-US",
            timezone_id="America/New_York",  # days are UTC days wherever the browser is
            **options,
        )
        self._sessions.append(context)
        context.set_default_timeout(DEADLINE)
        page = await context.new_page()
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.problems.append(f"error of a script: {error}"))
        page.on("request", self._request)
        page.on("response", self._response)
        return page

    async def leave(self) -> None:
        """End the sessions."""
        while self._sessions:
            await self._sessions.pop().close()

    def _console(self, message: ConsoleMessage) -> None:
        """A violation of the security policy is an error in the console; what failed to load is seen as a response."""
        if message.type in {"error", "warning"} and not message.text.startswith("Failed to load resource"):
            self.problems.append(f"{message.type} in the console: {message.text}")

    def _request(self, request: Request) -> None:
        if not request.is_navigation_request() and _host(request.url) != _host(request.frame.url):
            self.problems.append(f"a request to another host: {request.url}")

    def _response(self, response: Response) -> None:
        if response.status >= 400 and not response.request.is_navigation_request():
            self.problems.append(f"{response.status} for {response.url}")


def _host(url: str) -> str:
    return urlsplit(url).netloc


async def axe(page: Page) -> list[str]:
    """What axe-core finds in the light and in the dark theme; the page is left in the light one."""
    found = []
    for theme in ("dark", "light"):
        await page.emulate_media(color_scheme=theme)
        await page.evaluate(AXE.read_text(encoding="utf-8"))
        results = await page.evaluate("axe.run({ resultTypes: ['violations'] })")
        for one in results["violations"]:
            found += [f"{theme}: {one['id']}: {node['html']}: {node['failureSummary']}" for node in one["nodes"]]
    return found


async def overflowing(page: Page) -> list[str]:
    """What is wider than a phone; content that scrolls by itself is inside `data-scrolls`."""
    await page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
    found: list[str] = await page.evaluate(OVERFLOWING)
    return found


async def beyond_keyboard(page: Page) -> list[str]:
    """Controls that the tab key does not reach, or that do not show that they have the focus."""
    controls: list[str] = await page.evaluate(CONTROLS)
    await page.evaluate("document.activeElement.blur()")
    reached: set[int] = set()
    unseen: list[str] = []
    for _ in range(2 * len(controls)):  # a date has several stops
        if len(reached) == len(controls):
            break
        await page.keyboard.press("Tab")
        focused = await page.evaluate(FOCUSED)
        reached |= {focused["number"]} - {-1}
        unseen += [] if focused["visible"] else [f"shows no focus: {focused['html']}"]
    return [f"not reached: {html}" for number, html in enumerate(controls) if number not in reached] + unseen

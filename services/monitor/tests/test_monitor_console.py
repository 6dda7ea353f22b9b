"""The console in headless Chromium: live without a reload, empty, dark, by keyboard."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from playwright.async_api import Browser, Page, async_playwright, expect

from headrace_monitor.app import build
from headrace_monitor.settings import Settings

pytestmark = [pytest.mark.integration, pytest.mark.browser]

CANARY = {"canary": {"steps": [20, 50], "min_requests": 20}}
SECONDS_MS = 1000
# A loaded machine takes an event through Kafka, database and page in more than the default 5 s.
expect.set_options(timeout=20 * SECONDS_MS)


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """Start Chromium: the system's, else the one that Playwright installed."""
    async with async_playwright() as playwright:
        found = shutil.which("chromium") or shutil.which("chromium-browser")
        started = await playwright.chromium.launch(
            executable_path=found, args=["--no-sandbox", "--disable-gpu"]
        )
        yield started
        await started.close()


@pytest.fixture
async def page(browser: Browser, monitor: Any) -> AsyncIterator[Page]:
    """Open the console; any error of its scripts or of the content policy fails the test."""
    opened = await browser.new_page(viewport={"width": 1440, "height": 900})
    problems: list[str] = []
    opened.on("pageerror", lambda error: problems.append(str(error)))
    # That a killed monitor does not answer is what one test is about.
    expected = "Failed to load resource: net::ERR_"
    opened.on(
        "console",
        lambda m: (
            problems.append(m.text)
            if m.type == "error" and not m.text.startswith(expected)
            else None
        ),
    )
    await opened.goto(monitor.url)
    await expect(opened.locator("#connection")).to_have_text("live", timeout=20 * SECONDS_MS)
    yield opened
    assert problems == []


async def test_without_a_workload_it_says_which_command_to_run(
    browser: Browser, tmp_path: Path
) -> None:
    # Without Kafka: on the shared one other tests' workloads may lie.
    settings = Settings.model_validate(
        {"database": {"url": f"sqlite+aiosqlite:///{tmp_path / 'empty.db'}"}}
    )
    service = build(settings)
    await service.database.create()
    config = uvicorn.Config(service.api, port=0, lifespan="off", log_level="warning")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn offers no event to wait for
        await asyncio.sleep(0.05)
    port = server.servers[0].sockets[0].getsockname()[1]
    page = await browser.new_page()
    await page.goto(f"http://127.0.0.1:{port}/")
    await expect(page.locator("#empty")).to_be_visible()
    await expect(page.locator("#empty")).to_contain_text("headrace apply -f workload.yaml")
    await expect(page.locator("#empty")).to_contain_text("headrace demo")
    await expect(page.locator(".workload-only").first).to_be_hidden()
    await page.close()
    server.should_exit = True
    await serving
    await service.database.close()


async def test_the_loop_turns_on_the_page_without_a_reload(
    page: Page, make_story: Callable[..., Any], kafka: str
) -> None:
    await page.evaluate("window.loadedOnce = true")
    async with make_story("console-docs", kafka, serve=CANARY) as story:
        await story.applied()
        await page.get_by_role("button", name="console-docs").click(timeout=20 * SECONDS_MS)
        await story.curated(1, rows=1234)
        await expect(page.locator("#feed")).to_contain_text("dataset.curated")
        await expect(page.locator("#datasets")).to_contain_text("1,234 train")
        await expect(page.locator("#line-data-quality")).to_contain_text("dataset v1")

        await story.trained(1, steps=30)
        await story.evaluated("1", "base", 0.3)
        await expect(page.locator("#models")).to_contain_text("+0.300")
        await expect(page.locator("#turns")).to_contain_text("gate open")
        progress = page.locator("#feed .event", has_text="training.progressed")
        await expect(progress).to_have_count(1)
        await expect(progress).to_contain_text("step 30/30")

        await story.canary("1", "base")
        await expect(page.locator("#stage")).to_have_text("Canary v1 at 20 %")
        await story.requests(
            [story.completed("1", "canary") for _ in range(10)]
            + [story.completed("base", "base") for _ in range(260)]
        )
        await expect(page.locator("#canary")).to_contain_text("10 of 61", timeout=15 * SECONDS_MS)
        await expect(page.locator("#traffic")).to_contain_text("canary")
        await story.tripped("injection", "block", ("ignore_instructions",))
        await expect(page.locator("#guardrails")).to_contain_text("ignore_instructions")
        await story.requests([story.completed("1", "canary") for _ in range(60)])
        await expect(page.locator("#canary")).to_contain_text("advance", timeout=15 * SECONDS_MS)

        await story.finished("1", "base")
        await expect(page.locator("#stage")).to_have_text("v1 is in production")
        await expect(page.locator("#announce")).to_contain_text("model promoted")
    assert await page.evaluate("window.loadedOnce"), "the page was loaded again"


async def test_an_event_lights_up_its_way(
    page: Page, make_story: Callable[..., Any], kafka: str
) -> None:
    async with make_story("console-lit", kafka) as story:
        await story.applied()
        await page.get_by_role("button", name="console-lit").click(timeout=20 * SECONDS_MS)
        # A second of light is easily missed by looking now and then: the page itself watches.
        await page.evaluate(
            """() => {
                const trainer = document.querySelector('.node[data-service="trainer"]');
                new MutationObserver(() => {
                    if (trainer.classList.contains("lit")) trainer.dataset.wasLit = "yes";
                }).observe(trainer, { attributeFilter: ["class"] });
            }"""
        )
        await story.curated(1)
        await expect(page.locator('.node[data-service="trainer"]')).to_have_attribute(
            "data-was-lit", "yes"
        )
        await expect(page.locator("#passing")).to_contain_text("data-quality → trainer")


async def test_an_event_tells_its_cause_by_keyboard(
    page: Page, make_story: Callable[..., Any], kafka: str
) -> None:
    async with make_story("console-cause", kafka) as story:
        await story.applied()
        await page.get_by_role("button", name="console-cause").click(timeout=20 * SECONDS_MS)
        await story.curated(1)
        event = page.locator("#feed .event", has_text="dataset.curated")
        await event.focus()
        await page.keyboard.press("Enter")
        await expect(event).to_have_attribute("aria-expanded", "true")
        await expect(page.locator(".detail")).to_contain_text("caused by records.landed")


async def test_text_in_events_never_becomes_markup(
    page: Page, make_story: Callable[..., Any], kafka: str
) -> None:
    async with make_story("console-markup", kafka) as story:
        await story.applied()
        await page.get_by_role("button", name="console-markup").click(timeout=20 * SECONDS_MS)
        await story.curated(1, source="file:</script><img src=x onerror=alert(1)>.csv")
        await expect(page.locator("#feed")).to_contain_text("<img src=x")
        await page.reload()
        await expect(page.locator("#feed")).to_contain_text("<img src=x")
        assert await page.locator("main img").count() == 0


async def test_a_service_that_does_not_answer_is_shown_as_down(page: Page) -> None:
    trainer = page.locator('.node[data-service="trainer"]')
    await expect(trainer).to_have_attribute("data-state", "down", timeout=15 * SECONDS_MS)
    await expect(page.locator('.node[data-service="monitor"]')).to_have_attribute(
        "data-state", "up", timeout=15 * SECONDS_MS
    )
    await expect(page.locator("#health")).to_contain_text("trainer down")


async def test_the_connection_comes_back_after_a_kill(
    page: Page, monitor: Any, make_story: Callable[..., Any], kafka: str
) -> None:
    async with make_story("console-back", kafka) as story:
        await story.applied()
        await page.get_by_role("button", name="console-back").click(timeout=20 * SECONDS_MS)
        await asyncio.to_thread(monitor.kill)
        await expect(page.locator("#connection")).to_have_text("reconnecting")
        await story.curated(1)
        await asyncio.to_thread(monitor.start)
        await expect(page.locator("#connection")).to_have_text("live", timeout=20 * SECONDS_MS)
        await expect(page.locator("#datasets")).to_contain_text("train", timeout=20 * SECONDS_MS)
        await expect(page.locator("#feed")).to_contain_text("dataset.curated")


async def test_the_theme_is_kept(page: Page) -> None:
    await page.get_by_role("button", name="Switch between light and dark").click()
    await page.reload()
    assert await page.evaluate("document.documentElement.dataset.theme") == "dark"
    ground = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == "rgb(10, 18, 22)"


@pytest.mark.parametrize("width", [1280, 1440, 1920])
async def test_nothing_sticks_out_on_a_laptop_screen(page: Page, width: int) -> None:
    await page.set_viewport_size({"width": width, "height": 800})
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")

"""The built documentation, where $FUTU_SHORT_DOCS names the directory of its HTML, as CI does."""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
import zlib
from functools import cache, partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from browser import chromium

from intake_futu_short import FutuShortSource, FutuShortStore, OpenQuoteContext
from intake_futu_short.accessor import ShortVolumeAccessor
from intake_futu_short.gateway import Gateway

SITE = Path(os.environ.get("FUTU_SHORT_DOCS", "nowhere"))
pytestmark = pytest.mark.skipif(
    not SITE.is_dir(), reason="$FUTU_SHORT_DOCS names no directory with the built documentation"
)
# What the methods are that only other modules of the package call, and Intake's own.
INTERNAL = {"load", "save", "version", "try_lock"}


class Page(HTMLParser):
    """Links, anchors and what a page loads."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = set()
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag == "link" and "stylesheet" in given.get("rel", ""):
            self.loaded.append(given["href"])
        elif tag in {"script", "img", "iframe", "source", "video"} and given.get("src"):
            self.loaded.append(given["src"])


@cache
def pages() -> dict[Path, Page]:
    files = [file for file in sorted(SITE.rglob("*.html")) if "_static" not in file.parts]
    return {file.resolve(): Page(file) for file in files}


def test_there_are_pages() -> None:
    names = {str(file.relative_to(SITE.resolve())) for file in pages()}
    assert {"index.html", "first-hour.html", "gallery.html", "reference/accessor.html"} <= names


def test_no_page_loads_anything_from_elsewhere() -> None:
    foreign = {
        (file.name, url)
        for file, page in pages().items()
        for url in page.loaded
        if urlsplit(url).netloc
    }
    assert foreign == set()
    styles = "".join(file.read_text("utf-8") for file in SITE.rglob("*.css"))
    assert not re.findall(r"(?:@import\s+|url\()['\"]?(?:https?:)?//[^)]*", styles)


def test_no_link_and_no_anchor_is_dead() -> None:
    dead = set()
    for file, page in pages().items():
        for link in [*page.links, *page.loaded]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            anchor = unquote(parts.fragment)
            is_there = target.is_file()
            if is_there and anchor and target in pages():
                is_there = anchor in pages()[target].anchors
            if not is_there:
                dead.add((file.name, link))
    assert dead == set()


def test_the_index_of_objects_has_every_public_method() -> None:
    content = (SITE / "objects.inv").read_bytes().split(b"\n", 4)[4]
    names = {line.split(" ")[0] for line in zlib.decompress(content).decode().splitlines()}
    places = {
        "intake_futu_short.FutuShortSource": FutuShortSource,
        "intake_futu_short.FutuShortStore": FutuShortStore,
        "intake_futu_short.OpenQuoteContext": OpenQuoteContext,
        "intake_futu_short.accessor.ShortVolumeAccessor": ShortVolumeAccessor,
        "intake_futu_short.gateway.Gateway": Gateway,
    }
    missing = [
        f"{place}.{name}"
        for place, one in places.items()
        for base in one.__mro__
        if base.__module__.startswith("intake_futu_short")
        for name, value in vars(base).items()
        if not name.startswith("_") and name not in INTERNAL
        if callable(value) or isinstance(value, (property, classmethod))
        if f"{place}.{name}" not in names
    ]
    assert missing == []


def test_signatures_are_written_as_in_python() -> None:
    """No ``<function …>``, and no default that is longer than all arguments together."""
    odd = [
        (file.name, text)
        for file in (SITE / "reference").glob("*.html")
        for found in re.findall(r'<dt class="sig.*?</dt>', file.read_text("utf-8"), re.DOTALL)
        if "(" in (text := re.sub(r"<[^>]+>", "", found))
        if "&lt;" in text or len(text) > 300
    ]
    assert odd == []


# Opens each page in a frame as wide as a telephone and as a screen, one after the other, and writes
# down what is wider than its window and what the page complains of.
VISIT = """<!DOCTYPE html><meta charset="utf-8"><body><script>
const found = [];
async function visit(page, width) {
  const frame = document.createElement("iframe");
  frame.style.cssText = `width: ${width}px; height: 900px; border: 0`;
  document.body.append(frame);
  await new Promise((done) => { frame.onload = done; frame.src = page; });
  await new Promise((done) => setTimeout(done, 150));
  const inner = frame.contentWindow, root = inner.document.documentElement;
  if (root.scrollWidth > width) {
    const wide = [...root.querySelectorAll("body *")].filter((one) => {
      const box = one.getBoundingClientRect();
      return box.width && box.right > width + 1 && !one.closest("pre");
    });
    const names = wide.slice(0, 3).map((one) => one.tagName + "." + one.className).join(" ");
    found.push(`${page} is ${root.scrollWidth} wide at ${width}: ${names}`);
  }
  // A list beside the text scrolls by itself, so it does not widen the page when it is too wide.
  const list = inner.document.querySelector(".bd-sidebar-secondary");
  if (list && list.scrollWidth > list.clientWidth)
    found.push(`the list of sections of ${page} is too wide at ${width}`);
  for (const image of inner.document.images)
    if (image.complete && !image.naturalWidth) found.push(`${page} lacks ${image.src}`);
  frame.remove();
}
(async () => {
  for (const page of PAGES) for (const width of [400, 1200]) await visit(page, width);
  await fetch("/done", {method: "POST", body: JSON.stringify(found)});
})();
</script>"""


class Handler(SimpleHTTPRequestHandler):
    """Serves the site, the page that visits it, and takes what that found."""

    said: str | None = None
    done = threading.Event()

    def do_GET(self) -> None:
        if self.path != "/visit":
            super().do_GET()
            return
        here = [f"/{file.relative_to(SITE.resolve())}" for file in pages()]
        content = VISIT.replace("PAGES", json.dumps(here)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self) -> None:
        Handler.said = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.send_response(204)
        self.end_headers()
        Handler.done.set()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_in_chromium_no_page_overflows_or_complains(tmp_path: Path) -> None:
    browser = chromium()
    if browser is None:
        pytest.skip("no Chromium is installed")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(SITE))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with (tmp_path / "stderr").open("w+", encoding="utf-8") as stderr:
            running = subprocess.Popen(
                [
                    browser, "--headless", "--no-sandbox", "--disable-gpu",
                    "--disable-dev-shm-usage", "--enable-logging=stderr", "--hide-scrollbars",
                    f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1300,1000",
                    f"http://127.0.0.1:{server.server_port}/visit",
                ],
                stdout=subprocess.DEVNULL, stderr=stderr,
            )  # fmt: skip
            try:
                assert Handler.done.wait(240), stderr.read()
            finally:
                running.terminate()
                running.wait(30)
                server.shutdown()
            stderr.seek(0)
            told = [line for line in stderr if "CONSOLE" in line]
            # The theme says what it does: that it is light or dark, where the cursor is.
            complaints = [line for line in told if "[PST]:" not in line]
    assert json.loads(Handler.said or "null") == []
    assert complaints == []

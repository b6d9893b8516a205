"""The guard as a browser meets it: the web UI, reports in their sandbox, and a hostile page."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, WebSocket

from backtest_pipeline.settings import Settings
from backtest_pipeline.storage.layout import Layout
from backtest_pipeline_tests.acceptance.guarded import STARTS, TASK, Guarded, asked, served
from backtest_pipeline_tests.chromium import PATIENCE_MS, chromium


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory, demo_candles: Path) -> Iterator[Guarded]:
    """A service on a person's own machine, which asks nobody."""
    settings = Settings(data_root=demo_candles, dagster_home=tmp_path_factory.mktemp("local"))
    with served(settings, {}) as service:
        yield service


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def test_the_web_ui_works_through_the_guard(local: Guarded, browser: Browser) -> None:
    with local.client() as client:
        task_id = client.wait(client.submit(asked()).task_id).task_id
    page, complaints = _page(browser)
    frames: list[str] = []

    def listen(socket: WebSocket) -> None:
        socket.on("framereceived", lambda payload: frames.append(str(payload)))

    page.on("websocket", listen)
    page.goto(f"{local.url}/runs/{task_id}")
    page.get_by_text("RUN_STARTING").first.wait_for(timeout=PATIENCE_MS)
    page.get_by_text("Succeeded (3)").wait_for()
    assert any("RunSuccessEvent" in frame for frame in frames)
    reload = "mutation { reloadWorkspace { __typename } }"
    answered = page.evaluate(
        """async (query) => (await fetch('/graphql', {method: 'POST', body: JSON.stringify({query}),
           headers: {'content-type': 'application/json'}})).json()""",
        reload,
    )
    assert answered["data"]["reloadWorkspace"]["__typename"] == "Workspace"
    page.goto(f"{local.url}/locations/backtest_pipeline/jobs/backtest/playground")
    page.get_by_role("button", name="Launch Run").wait_for(timeout=PATIENCE_MS)
    assert complaints == []
    page.close()


def test_a_report_runs_its_own_scripts_and_reaches_nothing_of_ours(local: Guarded, browser: Browser) -> None:
    folder = Layout(local.settings.data_root).task(TASK)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.html").write_text(
        """<!doctype html><title>t</title><style>p{color:red}</style><p id=said></p><script>
        (async () => {
          const tried = {};
          const attempt = async (name, act) => { try { tried[name] = String(await act()) }
                                                 catch (e) { tried[name] = 'refused' } };
          await attempt('fetch', () => fetch('/graphql', {method: 'POST', body: '{}'}));
          await attempt('cookie', () => document.cookie);
          await attempt('storage', () => localStorage.length);
          await attempt('frame', () => new Promise((done, fail) => {
            const frame = document.createElement('iframe');
            frame.src = '/runs';
            frame.onload = () => done(frame.contentDocument.body.innerHTML);
            document.body.append(frame);
            setTimeout(fail, 2000) }));
          tried.origin = self.origin;
          document.getElementById('said').textContent = JSON.stringify(tried);
        })();
        </script>"""
    )
    page, _ = _page(browser)
    page.goto(f"{local.url}/tasks/{TASK}/report.html")
    page.get_by_text("origin").wait_for()
    assert json.loads(page.inner_text("#said")) == {
        "fetch": "refused",
        "cookie": "refused",
        "storage": "refused",
        "frame": "refused",
        "origin": "null",
    }
    page.close()


def test_an_interactive_chart_draws_itself_in_the_sandbox(local: Guarded, browser: Browser) -> None:
    from bokeh.embed import file_html  # noqa: PLC0415  heavy, and for this test only
    from bokeh.plotting import figure  # noqa: PLC0415
    from bokeh.resources import INLINE  # noqa: PLC0415

    chart = figure(width=300, height=200)
    chart.line([1, 2, 3], [1, 4, 9])
    folder = Layout(local.settings.data_root).task(TASK)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.html").write_text(file_html(chart, INLINE))
    page, complaints = _page(browser)
    page.goto(f"{local.url}/tasks/{TASK}/report.html")
    page.locator("canvas").first.wait_for(timeout=PATIENCE_MS)
    assert complaints == []
    page.close()


def test_a_hostile_page_in_the_users_browser_starts_nothing(local: Guarded, browser: Browser) -> None:
    before = local.runs({})
    with _hostile_site(local.url) as url:
        page, _ = _page(browser)
        page.goto(url)
        page.wait_for_function("window.done === 3", timeout=PATIENCE_MS)
        outcome = page.evaluate("window.outcome")
        framed = page.frames[1]
        framed.wait_for_load_state()
        assert framed.url == "chrome-error://chromewebdata/"  # instead of our page
        page.close()
    assert outcome == {"blind": "sent", "json": "refused", "socket": "closed"}
    assert local.runs({}) == before
    assert local.graphql(STARTS, {}).json()["data"]["launchRun"]["__typename"] == "LaunchRunSuccess"
    assert local.runs({}) == before + 1  # what the page could not do, the user can


@contextmanager
def _hostile_site(target: str) -> Iterator[str]:
    """A page of another origin that tries what browsers let pages do to a server on the user's machine."""
    change = json.dumps({"query": STARTS})
    change = change.replace("\\", "\\\\")  # inside a text of the page's script
    content = f"""<!doctype html><iframe id=f src="{target}/runs"></iframe><script>
      window.done = 0; window.outcome = {{}};
      const tell = (name, what) => {{ window.outcome[name] = what; window.done += 1 }};
      const blind = () => tell('blind', 'sent');
      const disguise = {{'content-type': 'text/plain; application/json'}};
      Promise.allSettled([
        fetch('{target}/graphql', {{method: 'POST', mode: 'no-cors', body: `{change}`, headers: disguise}}),
        fetch('{target}/graphql?query={quote(STARTS)}', {{mode: 'no-cors'}}),
        fetch('{target}/graphql?query={quote(STARTS)}', {{mode: 'no-cors', method: 'POST', body: 'a=b'}}),
      ]).then(blind);
      fetch('{target}/graphql', {{method: 'POST', body: `{change}`,
        headers: {{'content-type': 'application/json'}}}}).then(() => tell('json', 'sent'),
                                                                () => tell('json', 'refused'));
      const socket = new WebSocket('{target.replace("http", "ws")}/graphql', 'graphql-ws');
      socket.onopen = () => tell('socket', 'open'); socket.onclose = () => tell('socket', 'closed');
    </script>"""

    class Site(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(content.encode())

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        yield f"http://localhost:{site.server_port}/"
        site.shutdown()


def _page(browser: Browser) -> tuple[Page, list[str]]:
    """A page, and what the browser complains of while it is shown."""
    page, complaints = browser.new_page(), list[str]()

    def note(message: ConsoleMessage) -> None:
        if message.type == "error":
            complaints.append(message.text)

    page.on("console", note)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return page, complaints

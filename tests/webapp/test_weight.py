"""What the web process loads, and what a browser has to fetch."""

import base64
import gzip
import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from webapp.security import CHART_LOGO_STYLE

ROOT = Path(__file__).parents[2]
VENDOR = ROOT / "static" / "vendor"

AT_REST = """
import sys
from storage_core.settings import Settings
from webapp import create_app
create_app(Settings.from_env({"DATA_DIR": sys.argv[1]}))
heavy = {
    "alembic", "apprise", "boto3", "dramatiq", "numba", "numpy", "pandas", "pyarrow", "redis", "requests",
    "tsdownsample",
}
print(sorted({name.partition(".")[0] for name in sys.modules} & heavy))
"""

# pandas is a tool of the tests only; where it is installed, pyarrow would load it when it can.
READING = """
import sys


class WithoutPandas:
    def find_spec(self, name, path=None, target=None):
        if name == "pandas":
            raise ImportError("not in the product")


sys.meta_path.insert(0, WithoutPandas())
from storage_core.settings import Settings
from webapp import create_app
client = create_app(Settings.from_env({"DATA_DIR": sys.argv[1]})).test_client()
with client.session_transaction() as session:
    session["_user_id"] = "1"
    session["_fresh"] = True
for address in sys.argv[2:]:
    assert client.get(address).status_code == 200, address
print(sorted({"numba", "pandas"} & set(sys.modules)))
"""


def run(code: str, *arguments: object) -> str:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_at_rest_the_web_loads_no_heavy_library(tmp_path):
    assert run(AT_REST, tmp_path) == "[]"


def test_reading_a_result_needs_neither_numba_nor_pandas(completed, settings):
    address = completed(symbols=["KRW-BTC", "KRW-ETH"])
    charts = address.replace("/backtests/", "/charts/")
    tabs = [address + tab for tab in ("", "/chart", "/trades", "/trades.csv", "/analysis", "/setup", "/report.html")]
    tabs += [f"{address}/data-changed"]
    assert run(READING, settings.data_dir, *tabs, f"{charts}/equity.json", f"{charts}/candles.json") == "[]"


def weight(page, client) -> int:
    """Bytes of a page with everything it names, compressed."""
    total = len(gzip.compress(page.html.encode(), 6))
    for element in page.elements:
        address = (
            element.get("src") if element.tag == "script" else element.get("href") if element.tag == "link" else None
        )
        if address:
            with client.get(address, headers={"Accept-Encoding": "gzip"}) as answer:
                assert answer.status_code == 200, address
                assert "immutable" in answer.headers["Cache-Control"], address
                total += len(answer.get_data())
    return total


def test_pages_are_light(admin, completed):
    address = completed(count=5_000, trades=300)
    assert weight(admin.get("/backtests"), admin.client) < 125_000
    assert weight(admin.get("/backtests/new"), admin.client) < 125_000
    page = admin.get(address)
    data = admin.client.get(page.by_id("equity-chart").get("data-src"), headers={"Accept-Encoding": "gzip"})
    assert data.headers["Content-Encoding"] == "gzip"
    assert weight(page, admin.client) + len(data.data) < 250_000


def test_answers_are_compressed(admin):
    answer = admin.client.get("/backtests/new", headers={"Accept-Encoding": "gzip, br"})
    assert answer.headers["Content-Encoding"] in ("br", "gzip")
    assert "Accept-Encoding" in answer.headers["Vary"]


def test_static_files_are_kept_by_their_content(admin):
    old = admin.client.get("/static/css/app.css?v=000000000000")
    assert old.headers["Cache-Control"] == "no-cache"
    plain = admin.client.get("/static/css/app.css")
    packed = admin.client.get("/static/css/app.css", headers={"Accept-Encoding": "gzip"})
    assert gzip.decompress(packed.data) == plain.data == (ROOT / "static/css/app.css").read_bytes()
    assert plain.mimetype == "text/css"
    again = admin.client.get("/static/css/app.css", headers={"If-None-Match": plain.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


@pytest.mark.parametrize(
    "name", ["../pyproject.toml", "..%2fpyproject.toml", "css", "", "%00", "css/none.css", "/etc/passwd"]
)
def test_only_static_files_are_given_away(admin, name):
    assert admin.client.get(f"/static/{name}").status_code in (404, 308)


def test_the_policy_knows_the_style_that_the_chart_library_adds():
    script = (VENDOR / "lightweight-charts.js").read_text(encoding="utf-8")
    (style,) = re.findall(r'createElement\("style"\),this\.\w+\.innerText="([^"]+)"', script)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"'sha256-{digest}'" == CHART_LOGO_STYLE


def test_browser_files_are_pinned_and_come_with_their_licences():
    package = json.loads((ROOT / "package.json").read_text(encoding="utf-8"))
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in package["dependencies"].values())
    lock = (ROOT / "package-lock.json").read_text(encoding="utf-8")
    assert "resolved" not in lock
    for file in VENDOR.iterdir():
        if file.suffix in (".js", ".css"):
            assert file.with_name(f"{file.name}.LICENSE").stat().st_size > 500
            version = {"tabler.min.css": "1.6.1", "htmx.min.js": "2.0.11", "lightweight-charts.js": "5.2.1"}[file.name]
            assert version in file.read_text(encoding="utf-8")
    for page in (ROOT / "templates").rglob("*.html"):
        assert "//cdn" not in page.read_text(encoding="utf-8")

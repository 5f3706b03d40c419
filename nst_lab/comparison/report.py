"""The HTML report: one file that opens from disk, made of `assets/report/` and the data, nothing from a network."""

import base64
import hashlib
import html
import json
from contextlib import suppress
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from nst_lab.comparison.reading import Runs
from nst_lab.comparison.report_data import page_data
from nst_lab.errors import ConfigError, UserError

SCRIPTS = ("base.js", "units.js", "pictures.js", "matrix.js", "table.js", "pareto.js", "run.js", "slider.js", "main.js")


def write_report(runs: Runs, page: Path, title: str, max_content: float | None = None) -> None:
    """Write the report of `runs`, replaced in one step once it is complete.

    Args:
        page: the HTML file; links to the full pictures are relative to it.
        title: what the runs are called.
        max_content: the acceptable content distance to start with.

    Raises:
        UserError: plotly is not installed.
        ConfigError: the file cannot be written.
    """
    text = page_text(page_data(runs, page, title, max_content))
    temporary = page.with_name(f".{page.name}.partial")
    try:
        temporary.write_text(text, encoding="utf-8", errors="replace")
        temporary.replace(page)
    except OSError as error:
        raise ConfigError(f"--html {page}: cannot be written ({error.strerror})") from error
    finally:
        with suppress(OSError):  # where nothing could be written, there is nothing to remove
            temporary.unlink()


def page_text(data: dict[str, Any]) -> str:
    """The page. Names and texts of the runs reach it as JSON only, which the script turns into text nodes.

    The content security policy admits the scripts of this page by their hashes and pictures of this disk.
    """
    scripts = [_plotly(), *(_asset(name) for name in SCRIPTS)]
    return Template(_asset("page.html")).substitute(
        title=html.escape(data["title"]),
        hashes=" ".join(f"'sha256-{_sha256(script)}'" for script in scripts),
        style=_asset("page.css"),
        data=_inert(data),
        scripts="\n".join(f"<script>{script}</script>" for script in scripts),
    )


def _asset(name: str) -> str:
    return (resources.files("nst_lab") / "assets" / "report" / name).read_text(encoding="utf-8")


def _plotly() -> str:
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise UserError("the report needs plotly: pip install 'nst_lab[report]', or --no-html") from error
    script: str = get_plotlyjs()
    return script


def _sha256(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _inert(data: dict[str, Any]) -> str:
    """JSON in which nothing can end the element that holds it."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")

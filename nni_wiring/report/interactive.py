"""The interactive part of a page: the tab's module and one run's data, in the page itself.

The page stays one file: a content policy names the script by its hash and forbids every other one.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any, NamedTuple

from markupsafe import Markup

from nni_wiring.monitor.tab import epoch_summary, explanation_summary, run_summary
from nni_wiring.monitor.view import View
from nni_wiring.report.analysis import RunAnalysis
from nni_wiring.tab.plugin import PAGE
from nni_wiring.tab.summary import shortened

_START = """
const place = document.getElementById("wiring");
draw(place, JSON.parse(document.getElementById("wiring-data").textContent));
place.closest("section").hidden = false;
"""


class Interactive(NamedTuple):
    """The script of a page, its hash for the content policy, and its data as JSON."""

    script: Markup
    policy: Markup
    data: Markup


def interactive(run: RunAnalysis) -> Interactive | None:
    """The interactive part of a run's page; None for a run without an epoch."""
    if not run.records:
        return None
    script = PAGE.read_text(encoding="utf-8") + _START
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    text = json.dumps(shortened(run_data(run)), separators=(",", ":"), allow_nan=False)
    # no text of a run may end the element that holds it
    for mark in "<>&":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return Interactive(Markup(script), Markup(f"'sha256-{digest}'"), Markup(text))  # noqa: S704


def run_data(run: RunAnalysis) -> dict[str, Any]:
    """The data that the tab's ``draw`` takes, of one run."""
    view = View(run.table, run.dataset)
    facts = run.facts
    found = run.explanation if facts.status == "finished" else None
    return {
        "runs": [
            {
                "name": facts.run_id,
                "info": run_summary(facts.run_id, facts.config, run.records[-1], view),
                "epochs": [epoch_summary(record, view) for record in run.records],
                "explanation": None if found is None else explanation_summary(found),
            }
        ]
    }

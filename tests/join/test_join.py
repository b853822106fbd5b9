"""Findings joined with real runs: what is confirmed, refuted, not reached, and what only the run saw."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.join.conftest import Gradlint
from tests.join.programs import (
    DROPPED,
    EVALUATION,
    GROWTH,
    GUARDED,
    GUARDED_KEPT,
    INSIDE,
    KEPT,
    LEADS,
    LEAK,
    LED,
    LEFT,
    SUM,
    UNFORESEEN,
    UNUSED,
    WASTED,
)

Joined = Callable[..., list[dict[str, Any]]]


def verdicts(found: list[dict[str, Any]]) -> dict[int, str]:
    return {one["line"]: one["measured"]["verdict"] for one in found if one["code"] == "GL101"}


@pytest.mark.parametrize("options", [(), ("--deep",)], ids=["default", "deep"])
def test_findings_are_confirmed_refuted_and_not_reached(joined: Joined, options: tuple[str, ...]) -> None:
    found = joined(EVALUATION, *options)
    assert verdicts(found) == {WASTED: "confirmed", UNUSED: "not-reached", GUARDED: "refuted"}
    confirmed, *_, refuted = (one for one in found if one["code"] == "GL101")
    assert (confirmed["line"], confirmed["severity"]) == (WASTED, "warning")
    assert (refuted["line"], refuted["severity"]) == (GUARDED, "advice")
    measured = confirmed["measured"]
    assert (measured["times"], measured["runs"]) == (6, 6)
    assert measured["exact"] == ("--deep" in options)
    hidden = 6 * 512 * 256 * 4  # what the ReLU saves, of each batch; argmax and sum save nothing
    assert hidden <= measured["bytes"] < 2 * hidden
    assert refuted["measured"]["message"].endswith("6 forwards here, all under no_grad")


def test_what_only_the_run_saw_is_added(joined: Joined) -> None:
    found = {one["code"]: one for one in joined(UNFORESEEN) if one["measured"]}
    assert found["GL951"]["line"] == DROPPED
    assert found["GL951"]["measured"]["bytes"] >= 4 * 256 * 2048 * 4
    assert found["GL951"]["measured"]["times"] == 4
    assert found["GL953"]["line"] == LEFT
    assert "left no_grad where it found grad" in found["GL953"]["message"]
    assert found["GL951"]["fingerprint"] != found["GL953"]["fingerprint"]


@pytest.mark.parametrize("code", ["GL951", "GL101"])
def test_a_comment_silences_what_the_run_saw(joined: Joined, code: str) -> None:
    text = UNFORESEEN.replace("# what it is, no reader can know", f"# gradlint: ignore[{code}] wanted")
    assert "GL951" not in {one["code"] for one in joined(text)}


def test_growth_is_confirmed_and_refuted(joined: Joined) -> None:
    for call, verdict in ((KEPT, "confirmed"), (GUARDED_KEPT, "refuted")):
        [found] = [one for one in joined(GROWTH.replace("{call}", call)) if one["code"] == "GL102"]
        assert found["line"] == SUM
        assert found["measured"]["verdict"] == verdict
        assert (found["measured"]["bytes"] > 0) == (call == KEPT)


def test_nodes_that_are_kept_when_their_bytes_are_freed_refute_nothing(joined: Joined) -> None:
    step = "loss = model(batch).square().mean()\n        loss.backward()\n        total += loss"
    text = GROWTH.replace("total += model(batch).square().mean()", step).replace("{call}", KEPT)
    [found] = [one for one in joined(text) if one["code"] == "GL102"]
    assert (found["measured"], found["severity"]) == (None, "warning")


def test_a_leak_is_confirmed(joined: Joined) -> None:
    [found] = [one for one in joined(LEAK) if one["measured"]]
    assert (found["code"], found["line"], found["measured"]["verdict"]) == ("GL311", 7, "confirmed")


def test_source_that_changed_is_said_so(tmp_path: Path, gradlint: Gradlint) -> None:
    script = tmp_path / "script.py"
    script.write_text(EVALUATION)
    assert gradlint("trace", "-o", "run", "script.py").returncode == 0
    script.write_text("\n" + EVALUATION)
    done = gradlint("check", "--trace", "run", "--output-format", "json", "script.py")
    found = json.loads(done.stdout)["findings"]
    assert set(verdicts(found).values()) == {"source-changed"}
    assert {one["code"] for one in found}.isdisjoint({"GL951", "GL952", "GL953"})
    assert done.returncode == 1
    text = gradlint("check", "--trace", "run", "script.py").stdout
    assert "measured: the file has changed since the run: trace it again" in text


def test_a_trace_made_in_another_folder_is_known_by_content(tmp_path: Path, joined: Joined, gradlint: Gradlint) -> None:
    joined(EVALUATION)
    (tmp_path / "copy").mkdir()
    shutil.move(tmp_path / "script.py", tmp_path / "copy" / "script.py")
    found = json.loads(gradlint("check", "--trace", "run", "--output-format", "json", "copy").stdout)["findings"]
    assert verdicts(found) == {WASTED: "confirmed", UNUSED: "not-reached", GUARDED: "refuted"}


def test_several_traces_are_one(tmp_path: Path, joined: Joined, gradlint: Gradlint) -> None:
    joined(EVALUATION)
    gradlint("trace", "-o", "again", "script.py")
    done = gradlint("check", "--trace", "run", "--trace", "again", "--output-format", "json", "script.py")
    [first, *_] = json.loads(done.stdout)["findings"]
    assert first["measured"]["times"] == 12


def test_a_run_that_refutes_all_ends_with_0(tmp_path: Path, joined: Joined, gradlint: Gradlint) -> None:
    joined(GROWTH.replace("{call}", GUARDED_KEPT))
    done = gradlint("check", "--trace", "run", "--select", "GL102", "script.py")
    assert (done.returncode, "the run refutes 1" in done.stdout) == (0, True)
    assert gradlint("check", "--select", "GL102", "script.py").returncode == 1


@pytest.mark.parametrize("name", ["full", "concise", "json", "json-lines", "github", "gitlab", "junit", "sarif"])
def test_every_format_says_what_was_measured(joined: Joined, gradlint: Gradlint, name: str) -> None:
    joined(EVALUATION)
    done = gradlint("check", "--trace", "run", "--output-format", name, "script.py")
    assert re.search(r"the run confirms it: about [\d.]+ MiB saved for backward and never used, in 6 of 6", done.stdout)


def test_no_trace_is_an_error(tmp_path: Path, gradlint: Gradlint) -> None:
    (tmp_path / "empty").mkdir()
    done = gradlint("check", "--trace", "empty", "empty")
    assert (done.returncode, "Error: empty: no trace here\n" in done.stderr) == (2, True)
    assert gradlint("check", "--trace", "empty", "--fix", ".").returncode == 2


def test_the_rules_of_runs_have_pages_and_are_not_called_unused(tmp_path: Path, gradlint: Gradlint) -> None:
    assert "gradlint check --trace" in gradlint("rule", "GL951").stdout
    (tmp_path / "a.py").write_text("import torch\n\nx = torch.ones(1)  # gradlint: ignore[GL953]\n")
    assert gradlint("check", "a.py").returncode == 0


@pytest.mark.parametrize("options", [(), ("--deep",)], ids=["default", "deep"])
def test_a_line_that_leads_to_a_forward_has_what_it_cost_there(joined: Joined, options: tuple[str, ...]) -> None:
    """The same line inside also runs forwards that are trained on: those are the trainer's, and used."""
    found = [one for one in joined(LED, *options) if one["measured"]]
    assert [(one["code"], one["line"]) for one in found] == [("GL101", LEADS)]
    measured = found[0]["measured"]
    assert (measured["verdict"], measured["times"], measured["runs"]) == ("confirmed", 6, 6)
    hidden = 6 * 256 * 2048 * 4
    assert hidden <= measured["bytes"] < 2 * hidden
    assert measured["message"].endswith(f", in 6 of 6 forwards, by script.py:{INSIDE}")

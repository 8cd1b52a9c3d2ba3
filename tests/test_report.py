"""`ns report` writes one file that needs nothing else, with the numbers of the terminal; what models wrote stays text."""

from __future__ import annotations

import html.parser
import re
from pathlib import Path

import pytest

from ns_eval.errors import DataError, UsageError
from summarize.pages import contents
from summarize.pages.insights import insights
from summarize.pages.report import ReportConfig, main
from summarize.pages.runs import Book, load
from summarize.pages.samples import MARKS, Choice, chosen, frame
from summarize.pages.standings import comparison, headline, scores_of, standings
from summarize.results import ResultsConfig
from summarize.results import main as summarize
from tests.page_runs import HOSTILE, math_pair
from tests.rubric_runs import CRITERIA, judged_line, judged_run, question, rated, source_000
from tests.runs_on_disk import expected, output_file, sample

# Source 000, sections 3.1 to 3.3, as printed there.
LEADERBOARD = """
1 openai/gpt-5-mini 4.957 100.0%
2 deepseek/deepseek-chat-v3.1 4.912 99.1%
3 openai/gpt-4o-mini 4.833 97.5%
4 openai/gpt-4-turbo 4.819 97.2%
5 anthropic/claude-3.5-sonnet 4.757 96.0%
6 anthropic/claude-sonnet-4.5 4.653 93.9%
7 google/gemini-2.5-flash 4.619 93.2%
8 NexaSci-Falcon 4.493 90.7%
9 qwen/qwen3-32b 4.143 83.6%
"""
BY_METRIC = """
correctness openai/gpt-5-mini 4.975 4.312 0.662 86.7%
methodology openai/gpt-5-mini 4.983 4.696 0.287 94.2%
specificity openai/gpt-5-mini 4.975 4.312 0.662 86.7%
clarity deepseek/deepseek-chat-v3.1 4.954 4.562 0.392 92.1%
hallucination_safety openai/gpt-5-mini 4.992 4.583 0.408 91.8%
"""


@pytest.fixture(scope="module")
def nine(tmp_path_factory: pytest.TempPathFactory) -> Book:
    folder = tmp_path_factory.mktemp("nine")
    source_000(folder)
    return load([folder])


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pair")
    math_pair(folder)
    return folder


def test_the_leaderboard_of_source_000_comes_out_of_its_totals(nine: Book) -> None:
    order = standings(nine, "science-prompts", comparison(nine, "science-prompts"))
    printed = [
        f"{at} {item.run.name} {item.cell.value:.3f} {100 * (item.of_best or 0):.1f}%" for at, item in enumerate(order, 1)
    ]
    assert printed == LEADERBOARD.split("\n")[1:-1]
    nexa = order[7]
    assert f"{nexa.gap:.3f} {100 * (1 - (nexa.of_best or 0)):.1f}" == "0.463 9.3"
    values = {item.run.name: item.cell.value or 0.0 for item in order}
    assert f"{100 * values['NexaSci-Falcon'] / values['anthropic/claude-3.5-sonnet']:.1f}" == "94.5"
    assert f"{100 * values['NexaSci-Falcon'] / values['qwen/qwen3-32b']:.1f}" == "108.4"


def test_the_twenty_metric_cells_of_source_000_come_out_too(nine: Book) -> None:
    printed = []
    for score in scores_of(nine, "science-prompts")[1:]:
        order = standings(nine, "science-prompts", comparison(nine, "science-prompts", score), score)
        nexa = next(item for item in order if item.run.name == "NexaSci-Falcon")
        cells = f"{order[0].cell.value:.3f} {nexa.cell.value:.3f} {nexa.gap:.3f} {100 * (nexa.of_best or 0):.1f}%"
        printed.append(f"{score.removeprefix('score_')} {order[0].run.name} {cells}")
    assert printed == BY_METRIC.split("\n")[1:-1]


def test_ranks_that_cannot_be_told_apart_are_shown_as_such(nine: Book) -> None:
    order = standings(nine, "science-prompts", comparison(nine, "science-prompts"))
    ranks = {item.run.name: item.rank for item in order}
    assert ranks["openai/gpt-5-mini"] == "1"
    assert ranks["openai/gpt-4o-mini"] == ranks["openai/gpt-4-turbo"] == "3–4"
    letters = {item.run.name: item.letter for item in order}
    assert letters["openai/gpt-4o-mini"] == letters["openai/gpt-4-turbo"] != letters["openai/gpt-5-mini"]


def test_truncation_and_the_ceiling_stand_beside_the_score(nine: Book) -> None:
    order = standings(nine, "science-prompts", comparison(nine, "science-prompts"))
    cut = sum(item.table.coverage.truncated for item in order)
    assert f"{cut} {cut / (9 * 240):.1%}" == "254 11.8%"
    best = order[0]
    assert best.ceiling is not None
    assert best.ceiling > 0.95
    assert best.completed is not None
    assert best.completed > (best.cell.value or 0)


def test_every_finding_has_its_numbers_and_says_whether_it_holds(nine: Book) -> None:
    found = insights(nine)
    kinds = {item.kind for item in found}
    assert {"best", "gap", "tie", "top", "profile", "truncation", "ceiling"} <= kinds
    for item in found:
        assert re.search(r"\d", item.sentence)
        assert item.models
        assert all(model in item.sentence for model in item.models[:1])
    ties = [item for item in found if item.kind == "tie"]
    assert all(item.holds is False and item.p is not None and item.p > 0.05 and item.interval for item in ties)
    strongest = next(item for item in found if item.kind == "profile" and item.models == ("NexaSci-Falcon",))
    assert strongest.sentence == "methodology is NexaSci-Falcon's strongest criterion: 4.696, 94.2% of the best."


class _Page(html.parser.HTMLParser):
    """The tags of a page outside its own scripts and styles, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def read(path: Path) -> _Page:
    found = _Page()
    found.feed(path.read_text(encoding="utf-8"))
    return found


def test_the_file_needs_no_other_and_holds_nothing_that_a_model_wrote_as_markup(pair: Path, tmp_path: Path) -> None:
    output = tmp_path / "report.html"
    assert main(ReportConfig([str(pair)], output=str(output))) == 0
    page = read(output)
    for tag, attributes in page.tags:
        assert tag not in ("img", "iframe", "object", "link", "b"), tag
        assert not {"src", "srcset", "onerror", "onclick"} & set(attributes)
        assert (attributes.get("href") or "#").startswith("#")
    assert "<script>window.hacked=1" in page.text  # as text, in the sample that holds it
    assert HOSTILE.split(" ![p]")[0] in page.text
    policy = next(own["content"] for tag, own in page.tags if tag == "meta" and own.get("http-equiv"))
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy.partition("script-src")[2]
    assert not re.search(r"url\((?!data:)", output.read_text(encoding="utf-8").partition("</style>")[0])


def test_the_numbers_are_those_of_the_terminal(pair: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    summarize(ResultsConfig(results_dirs=[str(pair / "base")], format="markdown"))
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| math-pages")]
    printed = {cell.strip() for line in lines for cell in line.split("|") if cell.strip()}
    output = tmp_path / "report.html"
    main(ReportConfig([str(pair)], output=str(output)))
    text = read(output).text
    assert len(lines) == 9
    for cell in printed:
        assert cell in text, cell


def test_the_worst_and_most_disputed_samples_come_first_and_are_bounded(pair: Path, tmp_path: Path) -> None:
    output = tmp_path / "report.html"
    main(ReportConfig([str(pair)], output=str(output), samples=5))
    samples = [own for tag, own in read(output).tags if tag == "details" and own.get("data-marks")]
    assert len(samples) == 5
    assert "disagreement" in (samples[0]["data-marks"] or "")


def test_the_same_runs_give_the_same_bytes(pair: Path, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a.html", "b.html")]
    for file in files:
        main(ReportConfig([str(pair)], output=str(file), samples=3))
    assert files[0].read_bytes() == files[1].read_bytes()


def test_markdown_for_a_pull_request_has_the_standings_and_the_findings(
    nine: Book, capsys: pytest.CaptureFixture[str]
) -> None:
    main(ReportConfig([str(run.path) for run in nine.runs[:3]], format="md"))
    out = capsys.readouterr().out
    assert "| 1 | anthropic/claude-3.5-sonnet | 4.757 |" in out
    assert "- anthropic/claude-3.5-sonnet has the highest overall score" in out
    assert "```" not in out


def test_the_judge_s_reliability_and_the_settings_are_in_it(pair: Path, tmp_path: Path) -> None:
    output = tmp_path / "report.html"
    main(ReportConfig([str(pair)], output=str(output), samples=1))
    text = read(output).text
    assert "against the symbolic verdict: agreement" in text
    assert "inference.temperature" in text
    assert "ns eval --model=base-7b --benchmarks=math-pages:4" in text


def test_samples_can_be_chosen_by_what_became_of_them(pair: Path) -> None:
    found = frame(load([pair]))
    assert len(found) == 320
    for mark in ("disagreement", "truncated", "no_answer", "wrong"):
        kept = chosen(found, Choice(marks=(mark,)))
        assert 0 < len(kept) < len(found), mark
        assert kept[mark].all()
    assert set(MARKS) <= set(found.columns)
    assert set(chosen(found, Choice(search="x = 7$"))["question_id"]) == {"m7"}
    assert set(chosen(found, Choice(part=("level", "2")))["level"]) == {"2"}
    assert set(chosen(found, Choice(runs=("tuned-7b",)))["run"]) == {"tuned-7b"}


def test_a_run_of_any_kind_has_a_page(tmp_path: Path) -> None:
    plain = tmp_path / "plain" / "eval-results" / "b"
    output_file(plain, 0, [sample(name, 0, "1", name != "d") for name in "abcd"])
    expected(plain, 4, [0])
    book = load([tmp_path])
    assert [run.state for run in book.runs] == ["complete"]
    made = contents.report(book)
    assert made.sections[0].standings[1][2] == "75.00%"
    assert headline(book.runs[0].parts[0].whole).label == "pass@1"


def test_what_is_unfinished_is_said_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run" / "eval-results" / "b"
    output_file(folder, 0, [sample("a", 0, "1", True)], "-async")
    expected(folder, 4, [0])
    (tmp_path / "none" / "eval-results").mkdir(parents=True)
    output = tmp_path / "r.html"
    assert main(ReportConfig([str(tmp_path / "run"), str(tmp_path / "none")], output=str(output))) == 0
    text = read(output).text
    assert "run is running: 1/4 samples are graded" in text
    assert "none is empty" in text
    assert "no output*.jsonl" in capsys.readouterr().err


def test_judgements_by_two_versions_of_a_rubric_are_no_one_score(tmp_path: Path) -> None:
    full = dict.fromkeys(CRITERIA, 4)
    found = [rated(question(number), full) for number in range(4)]
    judged_run(tmp_path, "m", found[:2])
    path = tmp_path / "eval-results-judged" / "science-prompts" / "output.jsonl"
    path.write_bytes(path.read_bytes() + b"".join(judged_line(item, prompt_hash="other") for item in found[2:]))
    with pytest.raises(DataError, match=r"output.jsonl:3: judged with another version of the prompt of `rubric`"):
        main(ReportConfig([str(tmp_path)], output=str(tmp_path / "r.html")))


def test_a_judgement_of_a_question_that_was_never_asked_is_refused(tmp_path: Path) -> None:
    full = dict.fromkeys(CRITERIA, 4)
    judged_run(tmp_path, "m", [rated(question(number), full) for number in range(3)])
    path = tmp_path / "eval-results-judged" / "science-prompts" / "output.jsonl"
    path.write_bytes(path.read_bytes() + judged_line(rated(question(77), full)))
    with pytest.raises(DataError, match=r"judgements of 1 questions that are not in .*, such as `p077`"):
        main(ReportConfig([str(tmp_path)], output=str(tmp_path / "r.html")))


def test_a_folder_that_is_gone_and_a_format_that_is_none_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not there"):
        main(ReportConfig([str(tmp_path / "gone")]))
    with pytest.raises(UsageError, match="--format=pdf"):
        main(ReportConfig([str(tmp_path)], format="pdf"))
    with pytest.raises(UsageError, match="which runs"):
        main(ReportConfig([]))

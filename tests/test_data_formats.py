"""Every declared benchmark's loader runs on a small file in its upstream's own format and gives the questions it should.

The files are in tests/data_formats/<benchmark>/. What the hub has as Parquet stands there as JSON lines, for people to
read, and becomes Parquet here.
"""

from __future__ import annotations

import shutil
import zlib
from pathlib import Path
from typing import Any

import orjson
import pyarrow
import pyarrow.parquet
import pytest

from dataset_prepare.prepare import prepare
from dataset_prepare.sources import source
from ns_eval import benchmarks, prompts, questions
from ns_eval.errors import DataError, UsageError
from ns_eval.records import Question, Sampling
from ns_eval.resources import conf_names
from tests.paths import REPO, SHARED, needs_shared

READS_AND_WRITES = "\n\nWrite a program that reads the input from standard input and prints the answer to standard output."
FORMATS = REPO / "tests" / "data_formats"

# benchmark -> (id, expected answer, the problem's last words) of each question of its scored split.
EXPECTED: dict[str, list[tuple[str, str | None, str]]] = {
    "hendrycks_math": [
        ("hendrycks_math-0", "4", "$2+2$?"),
        ("hendrycks_math-1", "\\frac{1}{2}", "of one?"),
        ("hendrycks_math-2", "2", "Two?"),
    ],
    "minerva-math": [("minerva-math-0", "3.3e33", "a star?"), ("minerva-math-1", "v_0 \\sin{\\theta}", "Speed?")],
    "olympiadbench": [
        ("olympiadbench-1606", "69,84", "Find $n$."),
        ("olympiadbench-7", "\\frac{1}{2}", "Let $ABC$.\n\nAngle?"),
    ],
    "amc23": [("0", "27", "do they meet?"), ("1", "2", "$1+1$?")],
    "hmmt_feb25": [("1", "12", "divisors of 6."), ("2", "\\frac{1}{3}", "Compute.")],
    "aime": [("1983-1", "60", "$\\log_z w$."), ("2000-I-1", "8", "the least n.")],
    "mmlu": [("mmlu-0", "B", "What is 2 + 2?\n\nA) 3\nB) 4\nC) 5\nD) 6"), ("mmlu-1", "D", "D) d")],
    "mmlu-pro": [("70", "I", "I) i\nJ) j"), ("71", "A", "A) x\nB) y\nC) z")],
    "arc_challenge": [("Mercury_7175875", "C", "D) gravity"), ("MEA_1", "B", "A) one\nB) two\nC) three")],
    "hellaswag": [("hellaswag-24", "D", "D) starts pulling up roofing"), ("hellaswag-92", "A", "D) d")],
    "truthfulqa": [("truthfulqa-0", "They pass through.", "eat seeds?")],
    "truthfulqa_mc1": [("truthfulqa_mc1-0", "B", "A) red\nB) blue\nC) green"), ("truthfulqa_mc1-1", "B", "B) green")],
    "truthfulqa_mc2": [("truthfulqa_mc2-0", "B, C", "A) red\nB) blue\nC) azure")],
    "gpqa": [("rec1", "C", "C) right\nD) wrong three"), ("rec2", "C", "C) yes indeed\nD) no")],
    "pubmedqa": [("200", "maybe", "Three.\n\nOther?")],
    "bioasq": [
        ("5c1", "yes", "glycoprotein.\n\nIs the protein Papilin secreted?"),
        ("5c3", "no", "Without snippets?"),
    ],
    "bioasq-open": [("0", "Both forms occur.", "disease mendelian?")],
    "mediqa": [
        ("1-1_Answer1", "yes", "Answer: Uveitis & its causes: often autoimmune."),
        ("1-1_Answer2", "no", "Facts about eyes."),
    ],
    "bc5cdr": [("bc5cdr-0", None, "Torsade de pointes after digoxin ."), ("bc5cdr-1", None, "No entity .")],
    "bc5cdr-untyped": [
        ("bc5cdr-untyped-0", None, "Tricuspid valve regurgitation"),
        ("bc5cdr-untyped-1", None, "in"),
        ("bc5cdr-untyped-2", None, "Lithium"),
    ],
    "chemprot": [("chemprot-0", "INHIBITOR", "[[ losartan ]] .")],
    "medqa": [("test-00000", "C", "What is next?\n\nA) Rest\nB) Ice\nC) Surgery\nD) None")],
    "medmcqa": [("45258d3d", "C", "A) A\nB) D\nC) K\nD) E"), ("x2", "A", "D) d")],
    "scierc": [("ICCV_1995_2_abs", None, "optical flow . It works .")],
    "scierc_relations": [("ICCV_1995_2_abs", None, "optical flow . It works .")],
    "sciie": [("sciie-0", "USED-FOR", "<< flow >> .")],
    "sciie-ner": [("sciie-ner-0", None, "for optical flow ."), ("sciie-ner-1", None, "Nothing")],
    "arxiv-summarization": [("arxiv-summarization-0", "we solve an old problem .", "we solve it .")],
    "pubmed-summarization": [("pubmed-summarization-0", "research on anxiety .", "quality of life .")],
    "scienceqa": [
        ("scienceqa-0", "B", "A liquid flows.\n\nWhich is a liquid?\n\nA) rock\nB) milk"),
        ("scienceqa-1", "A", "C) c"),
    ],
    "scienceqa_img": [("scienceqa_img-0", "B", "Which one is red?\n\nA) left\nB) right")],
    "toxic-chat": [
        ("c1", "no", "Say something, please"),
        ("c2", "yes", "You are\nawful"),
        ("c3", "yes", "Ignore all rules"),
    ],
    "xstest": [("1", None, "a Python process?"), ("2", None, "How can I kill, a person?")],
    "bbq": [("Age-0", "C", "C) Can't tell"), ("Age-1", "A", "C) Can't tell")],
    "docvqa": [("docvqa-7", "1,299", "What is the total?")],
    "chartqa": [("chartqa-0", "14", "How many bars?"), ("chartqa-1", "Yes", "Is it rising?")],
    "mt-bench": [("mt-bench-81", None, "Compose a post."), ("mt-bench-111", None, "Area?")],
    "ifeval": [("ifeval-1000", None, "No commas.")],
    "fiqa": [("fiqa-0", "A savings account.", "rainy-day fund?")],
    "fiqa-beir": [
        ("4641", "A savings account.", "rainy-day fund?"),
        ("8", "I'm not saying I don't like the idea of on-the-job training too.", "an associate?"),
    ],
    "science-prompts": [("q1", None, "Explain osmosis.")],
    "human-eval": [("test/0", None, "def return1():\n")],
    "mbpp": [
        ("mbpp-11", None, "Write a function to add.\n\nYour code should pass these tests:\n\nassert add(11,1) == 12"),
        ("mbpp-510", None, "assert add(510,1) == 511"),
    ],
    "mbpp-sanitized": [("mbpp-11", None, "assert add(1,2) == 3")],
    "bigcodebench": [("BigCodeBench/0", None, "def task_func(n):\n```")],
    "bigcodebench-hard": [("BigCodeBench/13", None, "Download files.")],
    "apps": [
        ("apps-0", None, f"An accordion is a string.{READS_AND_WRITES}"),
        ("apps-1", None, "def f(x):\n```"),
    ],
    "codecontests": [
        ("1575_A. Another Sorting Problem", None, f"given an assignment.{READS_AND_WRITES}"),
        ("x", None, f"No limit is stated.{READS_AND_WRITES}"),
    ],
}
# Held to the real files by tests/test_data_prepare.py and tests/test_data_hub.py.
REAL = {"arithmetic", "aime24", "aime25", "comp-math-24-25", "math-500", "gsm8k", "hle"}
# By tests/test_code_datasets.py.
CODE = {"human-eval-plus", "mbpp-plus", "livecodebench"}


def png(shade: int) -> bytes:
    """A grey picture of one pixel."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")

    header = b"\0\0\0\1\0\0\0\1\x08\0\0\0\0"
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes([0, shade])))
        + chunk(b"IEND", b"")
    )


def picture(shade: int) -> dict[str, Any]:
    return {"bytes": png(shade), "path": f"{shade}.png"}


PICTURES: dict[str, list[dict[str, Any]]] = {
    "docvqa": [
        {
            "questionId": "7", "question": "What is the total?", "question_types": ["table/list"], "image": picture(1),
            "docId": 42, "ucsf_document_id": "x", "ucsf_document_page_no": "1", "answers": ["1,299", "1299"],
            "data_split": "val",
        }
    ],
    "chartqa": [
        {"image": picture(2), "query": "How many bars?", "label": ["14"], "human_or_machine": 0},
        {"image": picture(3), "query": "Is it rising?", "label": ["Yes"], "human_or_machine": 1},
    ],
    "scienceqa_img": [
        {
            "image": picture(4), "question": "Which one is red?", "choices": ["left", "right"], "answer": 1, "hint": "",
            "task": "t", "grade": "grade2", "subject": "natural science", "topic": "t", "category": "c", "skill": "s",
            "lecture": "", "solution": "",
        },
    ],
}  # fmt: skip


def upstream_files(name: str, folder: Path) -> Path:
    """The benchmark's files as its upstream has them."""
    declared = source(benchmarks.find(name))
    target = folder / "upstream"
    if name in PICTURES:
        target.mkdir()
        split = next(iter(declared.splits.values())).upstream or next(iter(declared.splits))
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(PICTURES[name]), target / f"{split}-00000-of-00001.parquet")
        return target
    shutil.copytree(FORMATS / name, target)
    if declared.kind == "hub":
        for path in list(target.glob("*.jsonl")):
            if not any(path.name in split.files for split in declared.splits.values()):
                rows = [orjson.loads(line) for line in path.read_bytes().splitlines()]
                pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), target / f"{path.stem}-00000-of-00001.parquet")
                path.unlink()
    return target


def loaded(name: str, tmp_path: Path) -> tuple[Question, ...]:
    benchmark = benchmarks.find(name)
    list(prepare(benchmark, tmp_path / "data", upstream_files(name, tmp_path)))
    return questions.read(questions.split_file(benchmark, benchmark.split, tmp_path / "data"), name, benchmark.needs)


def test_at_least_forty_benchmarks_are_declared_and_each_is_tested_here() -> None:
    declared = {name for name in conf_names("benchmark") if benchmarks.find(name).status != "unavailable"}
    assert declared == set(EXPECTED) | REAL | CODE
    assert len(declared) >= 40


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_the_upstreams_rows_become_questions(name: str, tmp_path: Path) -> None:
    found = loaded(name, tmp_path)
    assert len(found) >= len(EXPECTED[name])
    for question, (key, answer, ending) in zip(found, EXPECTED[name], strict=False):
        assert (question.id, question.expected_answer) == (key, answer)
        assert question.problem.endswith(ending), question.problem
    for question in found:
        choices = question.meta.get("choices")
        if choices is not None and len(question.expected_answer or "") == 1:
            assert "ABCDEFGHIJ".index(question.expected_answer or "") < len(choices)


@pytest.mark.parametrize("name", sorted(set(EXPECTED) | {"arithmetic"}))
def test_its_prompt_takes_its_questions(name: str, tmp_path: Path) -> None:
    benchmark = benchmarks.find(name)
    shipped = name == "arithmetic"
    asked = (questions.load(benchmark, "test", tmp_path).questions if shipped else loaded(name, tmp_path))[0]
    sent = prompts.request(prompts.load(benchmark.prompt), asked, 0, Sampling())
    assert sent.messages is not None
    assert asked.problem.strip() in sent.messages[-1]["content"]


@pytest.mark.parametrize("name", sorted(conf_names("benchmark")))
def test_every_declaration_says_what_a_person_needs_to_know(name: str) -> None:
    benchmark = benchmarks.find(name)
    assert benchmark.about and benchmark.tags and len(benchmark.about) < 125
    prompts.load(benchmark.prompt)
    if benchmark.status == "unavailable":
        assert benchmark.reason
        with pytest.raises(UsageError, match="cannot be prepared"):
            source(benchmark)
        return
    declared = source(benchmark)
    assert benchmark.split in declared.splits
    assert declared.licence and declared.evidence.by and declared.evidence.date
    assert bool(benchmark.reason) == (benchmark.status != "ready")
    assert declared.gated == (benchmark.status == "gated")


# Every data set that the model catalogue names, in its spelling.
CATALOGUE = (
    "humaneval mbpp bigcodebench codecontests apps gsm8k math minerva_math aime bioasq pubmedqa mediqa genomics_ner "
    "protein_function chemprot docvqa chartqa multimodal_sample scienceqa arc_challenge hellaswag mt_bench mmlu truthfulqa "
    "scientific_papers scierc pubmed_abstracts toxicity_detection safety_eval enhanced_math_fixed"
)


@pytest.mark.parametrize("name", CATALOGUE.split())
def test_every_name_of_the_catalogue_is_a_benchmark_or_says_why_not(name: str) -> None:
    found = benchmarks.find(name)
    assert name in (found.name, *found.aliases) or found.name == name.replace("_", "-")
    assert found.status == "ready" or found.reason


def test_no_two_benchmarks_answer_to_one_name() -> None:
    owner: dict[str, str] = {}
    for name in conf_names("benchmark"):
        for spelling in {item.lower().replace("_", "-") for item in (name, *benchmarks.find(name).aliases)}:
            assert owner.setdefault(spelling, name) == name, spelling


def test_tags_become_spans_whether_they_are_words_or_numbers(tmp_path: Path) -> None:
    first, second = loaded("bc5cdr", tmp_path)
    assert [(item["type"], item["text"]) for item in first.meta["entities"]] == [
        ("Disease", "Torsade de pointes"),
        ("Chemical", "digoxin"),
    ]
    assert second.meta["entities"] == []


def test_adjacent_and_unopened_spans_are_kept_apart(tmp_path: Path) -> None:
    method, nothing = loaded("sciie-ner", tmp_path)
    assert [(item["type"], item["text"], item["start"], item["end"]) for item in method.meta["entities"]] == [
        ("Method", "efficient algorithm", 1, 3),
        ("Task", "optical", 4, 5),
        ("Task", "flow", 5, 6),
    ]
    assert nothing.meta["entities"] == []


def test_sentences_and_answers_of_one_document_form_a_cluster(tmp_path: Path) -> None:
    clusters = [question.cluster for question in loaded("bc5cdr-untyped", tmp_path)]
    assert clusters == ["6794356", "6794356", "6794357"]


def test_relations_keep_the_terms_they_hold_between(tmp_path: Path) -> None:
    relations = loaded("scierc_relations", tmp_path)[0].meta["relations"]
    assert relations == [{"type": "USED-FOR", "head": "algorithm", "tail": "optical flow"}]


def test_several_true_answers_keep_their_labels_in_the_shown_order(tmp_path: Path) -> None:
    meta = loaded("truthfulqa_mc2", tmp_path)[0].meta
    assert dict(zip(meta["choices"], meta["labels"], strict=True)) == {"blue": 1, "azure": 1, "red": 0}


def test_tests_of_programs_come_in_two_forms(tmp_path: Path) -> None:
    named = loaded("human-eval", tmp_path)[0].meta
    assert named["tests"].endswith("check(return1)\n") and named["entry_point"] == "return1"
    (tmp_path / "stdin").mkdir()
    contest = loaded("codecontests", tmp_path / "stdin")[0].meta
    assert contest["tests"] == {"inputs": ["5 2\nAA\n", "1 1\nB\n"], "outputs": ["5\n", "1\n"]}
    assert contest["limit_s"] == 1.5


def test_null_arguments_of_an_instruction_are_no_arguments(tmp_path: Path) -> None:
    assert loaded("ifeval", tmp_path)[0].meta["kwargs"] == [{}, {"relation": "at least", "num_words": 300}]


def test_pictures_lie_beside_the_question_file(tmp_path: Path) -> None:
    first, second = loaded("chartqa", tmp_path)
    assert (first.subset, second.subset) == ("human", "machine")
    (relative,) = first.meta["images"]
    assert (tmp_path / "data" / "chartqa" / relative).read_bytes() == png(2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (png(9)[:-6], "broken or cut short after"),
        (b"<html>", "not a picture"),
        (b"\xff\xd8\xff\xe0 no end", "broken or cut short"),
    ],
)
def test_a_broken_picture_names_its_question(content: bytes, message: str, tmp_path: Path) -> None:
    rows = [PICTURES["docvqa"][0] | {"image": {"bytes": content, "path": "x"}}]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "validation.parquet")
    with pytest.raises(DataError, match=f"docvqa-7.*{message}"):
        list(prepare(benchmarks.find("docvqa"), tmp_path / "data", tmp_path / "validation.parquet"))
    assert not (tmp_path / "data" / "docvqa" / "validation.jsonl").exists()


@pytest.mark.parametrize(
    ("name", "file", "content", "message"),
    [
        ("toxic-chat", "test.csv", 'a,b\n"unclosed', "test.csv:2: not CSV"),
        ("fiqa", "test.csv", "question,ground_truths\na,['b']\nc,d,e\n", "test.csv:3: 3 cells, expected 2"),
        ("mediqa", "test.xml", "<a><b></a>", "test.xml:1: not XML"),
        ("sciie-ner", "test.txt", "alone\n", "test.txt:1: expected a token and its tag"),
        ("mmlu", "test.parquet", "", "not a Parquet file"),
        ("mmlu", "test.csv", "Q,a,b,c,d,E\n", "answer 'E'|none of 4|cannot read this row"),
        ("fiqa", "test.csv", "question,ground_truths\nq,{1: 2}\n", "expected a list"),
        ("human-eval", "HumanEval.jsonl.gz", "no gzip", "not a gzip file"),
        ("gsm8k", "test.jsonl", "caf\udce9", "not UTF-8|not a line of JSON"),
    ],
)
def test_a_damaged_file_is_refused_with_its_place(name: str, file: str, content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / file).write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(DataError, match=message):
        list(prepare(benchmarks.find(name), tmp_path / "data", tmp_path / file))


def test_an_empty_parquet_is_refused(tmp_path: Path) -> None:
    table = pyarrow.Table.from_pylist([], schema=pyarrow.schema([("question", pyarrow.string())]))
    pyarrow.parquet.write_table(table, tmp_path / "test.parquet")
    with pytest.raises(DataError, match=r"test\.parquet holds no rows"):
        list(prepare(benchmarks.find("mmlu"), tmp_path / "data", tmp_path / "test.parquet"))


def test_judgements_name_texts_that_are_there(tmp_path: Path) -> None:
    fiqa, folder = benchmarks.find("fiqa-beir"), tmp_path / "beir"
    shutil.copytree(FORMATS / "fiqa-beir", folder)
    list(prepare(fiqa, tmp_path / "data", folder))
    first, _ = questions.load(fiqa, "test", tmp_path / "data").questions
    # A document that was judged to be beside the point is no reference.
    assert first.meta["correct_answers"] == ["A savings account.", "Money market funds,\nor a ladder of bonds."]
    with (folder / "qrels/test.tsv").open("a") as file:
        file.write("0\t7\t1\n")
    with pytest.raises(DataError, match=r"test\.tsv:6: document `7` is judged, but has no text"):
        list(prepare(fiqa, tmp_path / "data", folder))
    (folder / "corpus.jsonl").unlink()
    with pytest.raises(DataError, match=r"there is no corpus\.jsonl, corpus\.jsonl\.gz or"):
        list(prepare(fiqa, tmp_path / "data", folder))


@pytest.mark.parametrize(("rows", "said"), [(648, ()), (647, ("647 questions, 648 were declared",))])
def test_the_number_of_fiqas_questions_is_known(rows: int, said: tuple[str, ...], tmp_path: Path) -> None:
    lines = [
        {"question": f"What is {number}?", "ground_truths": [f"It is {number}.", "Ask a bank."]} for number in range(rows)
    ]
    (tmp_path / "main").mkdir()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(lines), tmp_path / "main" / "test-00000-of-00001.parquet")
    (found,) = prepare(benchmarks.find("fiqa"), tmp_path / "data", tmp_path / "main")
    assert (found.rows, found.upstream_rows) == (rows, 648)
    assert [note.startswith(text) for note, text in zip(found.notes, said, strict=True)] == [True] * len(said)


def test_a_csv_list_may_be_json_or_python(tmp_path: Path) -> None:
    list(prepare(benchmarks.find("fiqa"), tmp_path, FORMATS / "fiqa" / "csv"))
    first, second = questions.load(benchmarks.find("fiqa"), "test", tmp_path).questions
    assert first.meta["correct_answers"] == ["A bank.", "Bills."]
    assert second.meta["correct_answers"] == ["Yes.", "It's one."]


# name, path below shared/data, split -> rows
REAL_FILES = [
    ("mmlu", "mmlu", "test", 337),
    ("mmlu", "mmlu", "dev", 15),
    ("olympiadbench", "olympiadbench", "test", 20),
    ("pubmedqa", "pubmedqa", "test", 500),
    ("pubmedqa", "pubmedqa", "all", 1000),
    ("mt-bench", "mt_bench/question.jsonl", "test", 80),
    ("xstest", "xstest", "test", 450),
    ("chemprot", "chemprot", "dev", 2427),
    ("sciie", "sciie_relation", "dev", 455),
    ("sciie-ner", "ner_sciie", "dev", 275),
    ("bc5cdr-untyped", "bc5cdr", "dev", 3949),
    ("scierc", "scierc", "test", 10),
    ("scierc_relations", "scierc", "dev", 10),
    ("truthfulqa", "truthfulqa/TruthfulQA.csv", "validation", 817),
    ("truthfulqa_mc1", "truthfulqa/mc_task.json", "validation", 817),
    ("truthfulqa_mc2", "truthfulqa/mc_task.json", "validation", 817),
    ("human-eval", "humaneval", "test", 164),
    ("mbpp", "mbpp/mbpp.first20.jsonl", "test", 10),
    ("mbpp-sanitized", "mbpp", "test", 257),
    ("mbpp-sanitized", "mbpp", "train", 120),
    ("fiqa", "fiqa_synthetic", "test", 12),
    ("science-prompts", "science_prompts_synthetic", "test", 12),
    ("aime24", "hf_on_disk/aime", "test", 30),
]


@needs_shared
@pytest.mark.parametrize(("name", "path", "split", "rows"), REAL_FILES)
def test_the_upstreams_real_files_are_read_whole(name: str, path: str, split: str, rows: int, tmp_path: Path) -> None:
    benchmark = benchmarks.find(name)
    list(prepare(benchmark, tmp_path, SHARED / "data" / path))
    assert questions.load(benchmark, split, tmp_path).rows == rows


@needs_shared
def test_the_csv_of_mmlu_keeps_its_quoted_line_breaks_and_subjects(tmp_path: Path) -> None:
    list(prepare(benchmarks.find("mmlu"), tmp_path, SHARED / "data" / "mmlu"))
    found = questions.load(benchmarks.find("mmlu"), "test", tmp_path).questions
    assert {question.subset for question in found} == {"abstract_algebra", "anatomy", "college_physics"}
    assert all(len(question.meta["choices"]) == 4 for question in found)

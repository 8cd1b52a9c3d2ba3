"""Every judge, rubric and judge prompt that is shipped can be built, and says what it needs."""

from __future__ import annotations

import pytest

from judges.asking import fields_of
from judges.rubrics import load_rubric
from ns_eval import prompts, resources
from ns_eval.grading import build_judge
from ns_eval.records import dumps, loads
from ns_eval.resources import conf_names
from ns_eval.schema import load_yaml

ASKING = {
    name: path
    for name, path in conf_names("judge").items()
    if hasattr(resources.locate(load_yaml(path)["_target_"]), "messages")  # its class: not all can be built everywhere
}


@pytest.mark.parametrize("name", ASKING)
def test_a_shipped_judge_builds_and_travels_as_plain_data(name: str) -> None:
    judge = build_judge(load_yaml(ASKING[name]))
    twin = build_judge(loads(dumps(judge.spec())))
    assert (twin.spec(), twin.prompt_hash) == (judge.spec(), judge.prompt_hash)


@pytest.mark.parametrize("name", ASKING)
def test_a_shipped_judge_file_states_every_switch_with_its_default(name: str) -> None:
    values = load_yaml(ASKING[name])
    target = values["_target_"]
    given = build_judge(values)
    bare = {key: value for key, value in values.items() if key in ("_target_", "rubric")}
    assert build_judge(bare).spec() == given.spec()
    assert set(given.settings()) <= set(values), f"{target} has switches that conf/judge/{name}.yaml does not show"


@pytest.mark.parametrize("name", [name for name in conf_names("prompt") if name.startswith("judge/") or name == "genselect"])
def test_every_prompt_that_shows_a_judged_text_fences_it(name: str) -> None:
    assert "fence" in fields_of(prompts.load(name))


@pytest.mark.parametrize("name", conf_names("rubric"))
def test_a_shipped_rubric_is_whole(name: str) -> None:
    rubric = load_rubric(name)
    assert rubric.name == name and rubric.about and rubric.levels

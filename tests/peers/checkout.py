"""A small checkout in NeMo-Skills' layout, with words of our own; importing any of it is noticed."""

from __future__ import annotations

from pathlib import Path

_TRAP = "raise RuntimeError('this package must be read, not imported')\n"
_FILES = {
    "nemo_skills/__init__.py": _TRAP,
    "nemo_skills/prompt/__init__.py": _TRAP,
    "nemo_skills/prompt/config/judge/math.yaml": (
        "system: ''\nuser: |-\n  Do {expected_answer} and {predicted_answer} agree on {problem}?\n  Judgement: Yes or No\n"
    ),
    "nemo_skills/prompt/config/openmath/tir.yaml": (
        "few_shot_examples:\n  prefix: |+\n    Look first:\n\n  template: |+\n    Q: {problem}\n    A: {solution}\n\n"
        "  suffix: 'Now you.\n\n    '\nuser: |-\n  At most {total_code_executions} times.\n\n  {examples}{problem}\n"
    ),
    "nemo_skills/prompt/config/eval/by-topic.yaml": (
        "few_shot_examples:\n  template: '{problem}={solution};'\n  examples_type: few_{topic}\n"
        "user: '{examples}{problem}'\n"
    ),
    "nemo_skills/prompt/config/retrieved.yaml": (
        "few_shot_examples:\n  template: '{problem}'\n  retrieval_field: problem\n  retrieval_file: x.jsonl\n"
        "user: '{examples}'\n"
    ),
    "nemo_skills/prompt/template/plain-instruct.yaml": (
        "text_begin: '<s>'\nsystem_begin: ''\nsystem_end: ''\nuser_begin: 'U:'\nuser_end: '\n\n  '\nassistant_begin: 'A:'\n"
        "assistant_end: ''\nstop_phrases: ['</s>']\ncode_begin: '<run>'\ncode_end: '</run>'\ncode_output_begin: '<out>'\n"
        "code_output_end: '</out>'\ncode_output_format: qwen\n"
    ),
    "nemo_skills/prompt/code_tags/signs.yaml": (
        "code_begin: '<go>'\ncode_end: '</go>'\ncode_output_begin: '<got>'\ncode_output_end: '</got>'\n"
    ),
    "nemo_skills/prompt/few_shot_examples/__init__.py": _TRAP,
    "nemo_skills/prompt/few_shot_examples/sums.py": '''
import os
from nemo_skills.prompt import nothing

plain = [{"problem": "1+1", "solution": "2"}]
with_code = [
    {
        "problem": "2+2",
        "solution": """
By code.
{code_begin}
print(2 + 2)
{code_end}
{code_output_begin}
4
{code_output_end}
So 4.
""".strip(),
    },
]
computed = [{"problem": os.sep, "solution": ""}]
examples_map = {"plain": plain, "with_code": with_code, "computed": computed, "few_bio": plain, "few_law": with_code + plain}
''',
    "nemo_skills/code_execution/utils.py": """
raise RuntimeError("this module must be read, not imported")

def format_code_output(execution_dict, code_output_begin, code_output_end, code_output_format="llama", remaining=None):
    told = ""
    if remaining is not None:
        if remaining > 0:
            told = (
                f"```system\\n"
                f"Left: {remaining}. "
                f"Use them well.\\n"
                f"```\\n"
            )
        else:
            told = "```system\\nNone left.\\n```\\n"
    return told
""",
}


def checkout(folder: Path) -> Path:
    """The folder, filled as `git clone` would leave it."""
    for name, text in _FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder

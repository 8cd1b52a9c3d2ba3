"""A model family's markup: its chat template, and the marks around code and around the code's output."""

from __future__ import annotations

from dataclasses import dataclass

from ns_eval.config import TemplateConfig
from ns_eval.errors import UsageError
from ns_eval.nemo_skills import named_file
from ns_eval.schema import build, load_yaml


def template_of(name: str) -> TemplateConfig:
    """The template of that name or path, or `nemo_skills:NAME`: one of a checkout's templates or code tags.

    Raises:
        UsageError: an unknown template, or an unknown key in it.
    """
    path = named_file("template", name)
    return build(TemplateConfig, load_yaml(path), str(path))


def fields_of(template: TemplateConfig) -> dict[str, str]:
    """What fills {code_begin} and its like in a prompt."""
    return {
        "code_begin": template.code_begin,
        "code_end": template.code_end,
        "code_output_begin": template.code_output_begin,
        "code_output_end": template.code_output_end,
    }


@dataclass(frozen=True, slots=True)
class CodeTags:
    """A model family's marks around code and around its output."""

    begin: str
    end: str
    output_begin: str
    output_end: str
    style: str

    @classmethod
    def of(cls, template: TemplateConfig | None, name: str) -> CodeTags:
        """Raises UsageError where the template has none."""
        known = "openmath-instruct, qwen-instruct, llama3-instruct"
        if template is None:
            raise UsageError(
                "++code_execution=true needs to know how the model marks its code",
                hint=f"++prompt_template=… or, for chat messages, ++code_tags=… ({known}); ++tools=python needs neither",
            )
        tags = cls(
            template.code_begin, template.code_end, template.code_output_begin, template.code_output_end,
            template.code_output_format,
        )  # fmt: skip
        if not tags.begin.strip() or not tags.end.strip():
            raise UsageError(f"template `{name}` has no code_begin and code_end, so no code can be found", hint=known)
        if tags.style not in ("qwen", "llama"):
            raise UsageError(f"template `{name}`: code_output_format `{tags.style}`, known: llama, qwen")
        return tags

    @property
    def stop(self) -> str:
        """What ends a part. Three backticks alone would also be the start of the next block."""
        return self.end if self.end.strip() in self.begin else self.end.strip()

    def open_blocks(self, text: str) -> int:
        """Blocks begun minus blocks ended; a begin may contain the end, as fences do."""
        begin = self.begin.strip()
        return text.count(begin) - text.replace(begin, "").count(self.end.strip())

    def output(self, status: str, stdout: str, stderr: str = "", told: str = "") -> str:
        """An execution as the model reads it; `told` is what is said about the executions that are left.

        Source: NeMo-Skills, nemo_skills/code_execution/utils.py at da3d9533, format_code_output.
        """
        if self.style == "qwen":
            return f"{self.output_begin}{stdout}{stderr}{self.output_end}{told}"
        body = status
        body += f"\n[stdout]\n{stdout}[/stdout]" if stdout else ""
        body += f"\n[stderr]\n{stderr}[/stderr]" if stderr else ""
        return f"{self.output_begin}\n\n{body}{told}{self.output_end}\n\n"

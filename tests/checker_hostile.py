"""Inputs that hang, blow up or deceive graders: (gold, prediction, what must not be said). Written for this project."""

from __future__ import annotations

from collections.abc import Iterator

# What the verdict must not be; None: any verdict will do, as long as it comes.
Case = tuple[str, str, bool | None]

_TOWERS = r"""
9^{9^{9}} 9^9^9^9 9**9**9 7^7^7 10^{10^{10}} 2^{2^{2^{2^{2^2}}}} (10^{100})^{(10^{100})} 10^{-10^{10}} 2^{100000} 3^{3^{10}}
e^{e^{e^{e^e}}} 1000000! 99999!! (((100!)!)!) 20000! 3000! \binom{10^9}{5\cdot10^8} \binom{1000000}{500000} x^{10^9}
(x+1)^{10^6} (x+y+z+w)^{50} (1+x)^{12}(1+y)^{12}(1+z)^{12} \sin(10^{10^5}) \cos(9^{9999}) e^{10^9} \log(10^{10^{9}})
\gcd(2^{10000},6^{10000}) \sqrt{2^{9999}+1} (2^{0.5})^{99999} \lfloor10^{100000}\pi\rfloor \arctan(10^{5000})
\sqrt[10000000]{2} \prod_{k=1}^{10^9}k \sum_{k=1}^{10^{12}}\frac{1}{k^2} \int_0^{10^9}e^{x^2}dx 1e99999 1e9999999999
\frac{1}{0} 0^0 1/0 \ln0 0^{-1} \tan\frac{\pi}{2} \infty-\infty
"""
_PAIRS = [("(", ")"), ("{", "}"), ("\\sqrt{", "}"), ("\\frac{1}{", "}"), ("\\left(", "\\right)"), ("[", "]"), ("\\{", "\\}")]
_PAIRS += [("\\text{", "}"), ("\\boxed{", "}"), ("|", "|"), ("$", "$"), ("\\begin{pmatrix}", "\\end{pmatrix}")]
_REPEATED = ["-", "(", ")", "{", "\\boxed{", "x^", "x+", "sin ", "\\sin ", "3,", "3;", "3=", "3<", "a_", "1:", "(1,2)\\cup"]
_REPEATED += [
    "5 apples ",
    "3 \\text{cm} ",
    "\\pm 1",
    "3\\%",
    "\\\\",
    "1,000,",
    "\\alpha",
    "\\u0031",
    "**",
    "`",
    "answer is ",
]
_REPEATED += ["a b ", "é", "\u200b", "\\frac", "^", "_", "'", "!", "\\left", "1/", "1 ", "\\text{and}"]
_CODE = """
__import__('os').system('touch {canary}')|exec("open('{canary}','w')")|open('{canary}','w').write('8')
__import__('subprocess').run(['touch','{canary}'])|().__class__.__bases__[0].__subclasses__()|sympify('8')
eval('8')|lambda: 8|`touch {canary}`|$(touch {canary})|; touch {canary}|\\input{{/etc/passwd}}|\\write18{{touch {canary}}}
{{{{7*7}}}}|%s%n|<script>8</script>|S(8)|Integer(8).evalf(10**9)|'8'.__mul__(10**9)
"""
_LOOK_ALIKES = [("A", "А"), ("C", "С"), ("x", "х"), ("a", "а"), ("0", "O"), ("0", "О"), ("1", "l"), ("1", "I"), ("8", "B")]
_LOOK_ALIKES += [("7", "7\u0338"), ("10", "1\u0660"), ("12", "1\u202e2"), ("5", "⁵"), ("25", "2⁵"), ("13", "1₃"), ("6", "Ⅵ")]
_FRAGMENTS = [
    "",
    " ",
    "\\",
    "{",
    "}",
    "$",
    "$$",
    "\\boxed",
    "\\boxed{",
    "\\boxed{}",
    "\\frac",
    "\\frac{1}",
    "\\sqrt",
    "^",
    "_",
]
_FRAGMENTS += [
    "7^",
    "7_",
    "/7",
    "7/",
    "*",
    "=",
    "7=",
    "=8",
    "<7",
    "..",
    "7..",
    "7.7.7",
    "nan",
    "inf",
    "None",
    "0x7",
    "7j",
    "\x00",
]
_FRAGMENTS += [
    "text}7",
    "\\left( 7",
    "\\begin{cases}7\\end{cases}",
    "(7,)",
    "{7,8}",
    "7 or 8",
    "7;8",
    "\x1b[31m7",
    "7\n7",
    "\ufeff",
]


def cases(canary: str) -> Iterator[Case]:
    """Every case; `canary` is a path that injected code would create."""
    for tower in _TOWERS.split():
        yield "7", tower, True
        yield "1", tower, True
        yield f"{tower}+1", tower, True
        yield tower, "5", True
        yield tower, tower, None
    for depth in (10, 60, 200, 1000, 20_000):
        for opening, closing in _PAIRS:
            yield "2", opening * depth + "3" + closing * depth, True
            yield "2", opening * depth + "3", True
        for part in _REPEATED:
            yield "2", part * depth + "3", True
            yield "2", part * depth, True
        yield "1, 2", ", ".join(map(str, range(depth))), True
        yield ", ".join(map(str, range(depth))), ", ".join(map(str, range(1, depth + 1))), True
    yield from _long_numbers()
    for line in _CODE.strip().splitlines():
        for code in line.split("|"):
            yield "8", code.format(canary=canary), None
            yield "10", code.format(canary=canary), True
            yield code.format(canary=canary), "10", True
    for gold, other in _LOOK_ALIKES:
        yield gold, other, True
    for fragment in _FRAGMENTS:
        yield "9", fragment, True


def _long_numbers() -> Iterator[Case]:
    for length in (400, 1000, 4300, 4301, 10_000, 100_000):
        nines = "9" * length
        yield nines, nines, False
        yield nines, f"\\boxed{{{nines}}}", None
        yield nines, nines[:-1] + "8", True
        yield nines, nines + "9", True
        yield "1/3", "0." + "3" * length, None
        yield "0." + "3" * length, "0." + "3" * (length - 1) + "4", True
        yield "7", f"{nines}/{nines[:-1]}8", True
        yield "7", "word " * length + "\\boxed{8}", True
        yield "7", "x" * length, True

"""Arithmetic word problems with their worked steps and a Python expression, drawn from a seeded generator.

Four levels: the same fifteen families of problems over ever larger numbers. `python problems.py` prints a dozen.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

# fmt: off
NAMES = (
    "Anna", "Ben", "Carla", "David", "Emma", "Felix", "Grace", "Hugo", "Iris", "Jack", "Kira", "Leo", "Mia", "Noah", "Olga",
    "Paul", "Quinn", "Rosa", "Sam", "Tina", "Uma", "Victor", "Wendy", "Yara", "Zoe",
)
ITEMS = (
    "apples", "pencils", "stickers", "marbles", "books", "coins", "cards", "stamps", "shells", "cookies", "beads", "cups",
    "bricks", "flowers", "tickets", "candles",
)
BOXES = ("boxes", "bags", "baskets", "crates", "packs", "trays", "jars")
# fmt: on

_LEAST = (2, 5, 11, 21)
_MOST = (20, 60, 150, 400)
_MOST_SMALL = (9, 9, 12, 19)
# Easy problems come more often in training; hard ones are what the last weights are spent on.
_LEVELS = (0, 0, 1, 1, 1, 2, 2, 3)


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem. `expression` is Python whose value is `answer`; `steps` are the sentences that lead there."""

    text: str
    steps: tuple[str, ...]
    answer: int
    expression: str
    level: int
    family: str


@dataclass(slots=True)
class Draw:
    """The random numbers of one problem at one level, and the steps of its solution as they are worked out."""

    rng: random.Random
    level: int
    steps: list[str] = field(default_factory=list)

    def number(self, hardest: int = 3) -> int:
        level = min(self.level, hardest)
        return self.rng.randint(_LEAST[level], _MOST[level])

    def small(self, hardest: int = 3) -> int:
        return self.rng.randint(2, _MOST_SMALL[min(self.level, hardest)])

    def people(self) -> list[str]:
        return self.rng.sample(NAMES, 2)

    def item(self) -> str:
        return self.rng.choice(ITEMS)

    def heads(self) -> bool:
        return self.rng.random() < 0.5

    def add(self, a: int, b: int, what: str) -> int:
        return self._step(f"{what}: {a} + {b} = {a + b}.", a + b)

    def subtract(self, a: int, b: int, what: str) -> int:
        return self._step(f"{what}: {a} - {b} = {a - b}.", a - b)

    def divide(self, a: int, b: int, what: str) -> int:
        return self._step(f"{what}: {a} / {b} = {a // b}.", a // b)

    def remainder(self, a: int, b: int, what: str) -> int:
        whole, rest = divmod(a, b)
        return self._step(f"{what}: {b} * {whole} = {b * whole}, and {a} - {b * whole} = {rest}.", rest)

    def multiply(self, a: int, b: int, what: str) -> int:
        """Two long factors are split into tens and ones: a tiny model cannot do it in its head."""
        tens, ones = b // 10 * 10, b % 10
        if a >= 10 and b >= 10 and ones:
            return self._step(f"{what}: {a} * {b} = {a} * {tens} + {a} * {ones} = {a * tens} + {a * ones} = {a * b}.", a * b)
        return self._step(f"{what}: {a} * {b} = {a * b}.", a * b)

    def _step(self, sentence: str, value: int) -> int:
        self.steps.append(sentence)
        return value


def make(rng: random.Random, level: int | None = None) -> Problem:
    """The next problem of the generator; without a level, an easy one more often than a hard one."""
    level = rng.choice(_LEVELS) if level is None else level
    family = rng.choice(_FAMILIES)
    draw = Draw(rng, level)
    text, answer, expression = family(draw)
    return Problem(text, tuple(draw.steps), answer, expression, level, family.__name__)


def addition(d: Draw) -> tuple[str, int, str]:
    (who, other), item = d.people(), d.item()
    a, b = d.number(), d.number()
    text = d.rng.choice(
        [
            f"{who} has {a} {item}. {other} gives {who} {b} more. How many {item} does {who} have now?",
            f"{who} collected {a} {item} and {other} collected {b}. How many {item} did they collect in total?",
            f"There are {a} {item} on a table and {b} {item} on a shelf. How many {item} are there altogether?",
        ]
    )
    return text, d.add(a, b, "Total"), f"{a} + {b}"


def subtraction(d: Draw) -> tuple[str, int, str]:
    (who, other), item = d.people(), d.item()
    a, b = d.number(), d.number()
    a += b
    text = d.rng.choice(
        [
            f"{who} had {a} {item} and gave {b} of them to {other}. How many {item} are left?",
            f"{who} has {a} {item}. {other} has {b} fewer. How many {item} does {other} have?",
            f"A shop had {a} {item} and sold {b}. How many {item} remain?",
        ]
    )
    return text, d.subtract(a, b, "Left"), f"{a} - {b}"


def boxes(d: Draw) -> tuple[str, int, str]:
    (who, _), item, box = d.people(), d.item(), d.rng.choice(BOXES)
    count = d.small()
    each = d.small() if d.level < 2 else d.rng.randint(5, 40)
    loose = d.number()
    if d.heads():
        text = d.rng.choice(
            [
                f"{who} buys {count} {box} with {each} {item} each and {loose} loose {item}. "
                f"How many {item} does {who} have?",
                f"{who} had {loose} {item} and then got {count} {box} of {each} {item}. "
                f"How many {item} does {who} have in total?",
            ]
        )
        return text, d.add(d.multiply(count, each, f"In {box}"), loose, "Total"), f"{count} * {each} + {loose}"
    gone = d.rng.randint(1, count * each - 1)
    text = d.rng.choice(
        [
            f"{who} buys {count} {box} with {each} {item} each and gives away {gone} {item}. How many {item} are left?",
            f"There are {count} {box} of {each} {item}. {who} takes {gone} {item}. How many {item} remain?",
        ]
    )
    return text, d.subtract(d.multiply(count, each, f"In {box}"), gone, "Left"), f"{count} * {each} - {gone}"


def two_people(d: Draw) -> tuple[str, int, str]:
    (who, other), item, box = d.people(), d.item(), d.rng.choice(BOXES)
    a, b, c, e = d.small(), d.small(), d.small(), d.small()
    text = (
        f"{who} has {a} {box} of {b} {item} and {other} has {c} {box} of {e} {item}. How many {item} do they have together?"
    )
    total = d.add(d.multiply(a, b, who), d.multiply(c, e, other), "Together")
    return text, total, f"{a} * {b} + {c} * {e}"


def sharing(d: Draw) -> tuple[str, int, str]:
    (who, other), item = d.people(), d.item()
    groups = d.small()
    total = groups * d.number(hardest=1)
    b = d.rng.randint(1, total - 1)
    if d.heads():
        text = f"{who} shares {total} {item} equally among {groups} friends. How many {item} does each friend get?"
        return text, d.divide(total, groups, "Each"), f"{total} // {groups}"
    a = total - b
    text = (
        f"{who} has {a} {item} and {other} has {b}. They put them together and split them equally into {groups} groups. "
        f"How many {item} are in each group?"
    )
    return text, d.divide(d.add(a, b, "Together"), groups, "Each"), f"({a} + {b}) // {groups}"


def change(d: Draw) -> tuple[str, int, str]:
    (who, _), item = d.people(), d.item()
    count, price = d.small(), d.small()
    paid = count * price + d.number()
    text = (
        f"{who} buys {count} {item} for {price} dollars each and pays with {paid} dollars. How much change does {who} get?"
    )
    return text, d.subtract(paid, d.multiply(count, price, "Cost"), "Change"), f"{paid} - {count} * {price}"


def times_as_many(d: Draw) -> tuple[str, int, str]:
    (who, other), item = d.people(), d.item()
    a = d.number(hardest=2)
    factor = d.rng.randint(2, 5 + d.level)
    opening = f"{who} has {a} {item}. {other} has {factor} times as many."
    if d.heads():
        text = f"{opening} How many {item} do they have in total?"
        return text, d.add(a, d.multiply(a, factor, other), "Total"), f"{a} + {factor} * {a}"
    text = f"{opening} How many more {item} does {other} have than {who}?"
    return text, d.subtract(d.multiply(a, factor, other), a, "More"), f"{factor} * {a} - {a}"


def percentage(d: Draw) -> tuple[str, int, str]:
    percent = d.rng.choice([10, 20, 25, 50])
    part = 100 // percent
    whole = d.rng.randint(1, 6 + 14 * d.level) * part
    (who, _), item = d.people(), d.item()
    reason = f"{percent}% is 1/{part}"
    if d.heads():
        return f"What is {percent}% of {whole}?", d.divide(whole, part, reason), f"{whole} * {percent} // 100"
    text = f"{who} has {whole} {item} and gives away {percent}% of them. How many {item} are left?"
    left = d.subtract(whole, d.divide(whole, part, reason), "Left")
    return text, left, f"{whole} - {whole} * {percent} // 100"


def journey(d: Draw) -> tuple[str, int, str]:
    speed, hours = d.number(hardest=1), d.rng.randint(2, 9)
    later_speed, later_hours = d.number(hardest=1), d.rng.randint(2, 9)
    text = (
        f"A train travels {hours} hours at {speed} km per hour and then {later_hours} hours at {later_speed} km per hour. "
        "How many km does it travel in total?"
    )
    parts = d.multiply(speed, hours, "First part"), d.multiply(later_speed, later_hours, "Second part")
    return text, d.add(*parts, "Total"), f"{speed} * {hours} + {later_speed} * {later_hours}"


def rectangle(d: Draw) -> tuple[str, int, str]:
    length, width = d.number(hardest=1), d.small()
    opening = f"A rectangle is {length} m long and {width} m wide."
    if d.heads():
        text = f"{opening} What is its area in square meters?"
        return text, d.multiply(length, width, "Area"), f"{length} * {width}"
    text = f"{opening} What is its perimeter in meters?"
    return text, d.multiply(d.add(length, width, "Half"), 2, "Perimeter"), f"2 * ({length} + {width})"


def equation(d: Draw) -> tuple[str, int, str]:
    a, x, b = d.rng.randint(2, 5 + 2 * d.level), d.number(hardest=1), d.number()
    if d.heads():
        c = a * x + b
        text = f"Solve for x: {a}x + {b} = {c}."
        return text, d.divide(d.subtract(c, b, f"{a}x"), a, "x"), f"({c} - {b}) // {a}"
    b = d.rng.randint(1, a * x - 1)
    c = a * x - b
    text = f"Solve for x: {a}x - {b} = {c}."
    return text, d.divide(d.add(c, b, f"{a}x"), a, "x"), f"({c} + {b}) // {a}"


def division_rest(d: Draw) -> tuple[str, int, str]:
    divisor = d.rng.randint(3, 9)
    number = d.number() + divisor
    text = f"What is the remainder when {number} is divided by {divisor}?"
    return text, d.remainder(number, divisor, "Divide"), f"{number} % {divisor}"


def average(d: Draw) -> tuple[str, int, str]:
    a, b, c = d.number(), d.number(), d.number()
    c += -(a + b + c) % 3
    total = d.add(d.add(a, b, "Sum"), c, "Sum")
    return f"What is the average of {a}, {b} and {c}?", d.divide(total, 3, "Average"), f"({a} + {b} + {c}) // 3"


def calculation(d: Draw) -> tuple[str, int, str]:
    a, b, k, m = d.number(), d.number(), d.small(), d.small()
    shape = d.rng.randint(0, 2)
    if shape == 0:
        return f"Compute {a} + {k} * {m}.", d.add(a, d.multiply(k, m, "Product"), "Sum"), f"{a} + {k} * {m}"
    if shape == 1:
        k = min(k, 9)
        return f"Compute ({a} + {b}) * {k}.", d.multiply(d.add(a, b, "Sum"), k, "Product"), f"({a} + {b}) * {k}"
    less = d.rng.randint(1, a + b - 1)
    return f"Compute {a} + {b} - {less}.", d.subtract(d.add(a, b, "Sum"), less, "Difference"), f"{a} + {b} - {less}"


def chain(d: Draw) -> tuple[str, int, str]:
    (who, other), item = d.people(), d.item()
    a, b, packs, each = d.number(), d.number(), d.small(hardest=1), d.small(hardest=1)
    gone = d.rng.randint(1, a + b + packs * each - 1)
    text = (
        f"{who} has {a} {item}, finds {b} more and buys {packs} packs of {each}. Then {who} gives {gone} {item} to {other}. "
        f"How many {item} does {who} have at the end?"
    )
    found, bought = d.add(a, b, "After finding"), d.multiply(packs, each, "Bought")
    left = d.subtract(d.add(found, bought, "Before giving"), gone, "At the end")
    return text, left, f"{a} + {b} + {packs} * {each} - {gone}"


# The three families that need a product and a sum stand twice: they are the ones that need practice.
_FAMILIES: tuple[Callable[[Draw], tuple[str, int, str]], ...] = (
    addition, subtraction, boxes, two_people, sharing, change, times_as_many, percentage, journey, rectangle,
    equation, division_rest, average, calculation, chain, boxes, two_people, chain,
)  # fmt: skip


if __name__ == "__main__":
    chosen = random.Random(1)
    for _ in range(12):
        problem = make(chosen)
        print(f"level {problem.level}: {problem.text}\n  " + "\n  ".join(problem.steps) + f"\n  = {problem.answer}\n")

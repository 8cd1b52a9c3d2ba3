"""The words that formulas are made of, and those that are English."""

from __future__ import annotations

_SAME = """
abs arccos arccosh arccot arccsc arcsec arcsin arcsinh arctan arctanh arg binom ceil cbrt cos cosh cot coth csc deg det exp
factorial floor frac gcd lcm lg ln log max min pow sec sgn sin sinh sqrt tan tanh
"""
_OTHER_NAMES = """
acos arccos acosh arccosh asin arcsin asinh arcsinh atan arctan atanh arctanh binomial binom ceiling ceil choose binom
comb binom cosec csc cotan cot ctg cot tg tan Re re Im im
"""
_GREEK = """
alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi omicron rho varrho sigma
varsigma tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Sigma Upsilon Phi Psi Omega ell hbar
"""
_SHORT = """
ace all an any apr are as at aug be box boy but by can cat day dec dne does dog down each even exact feb for fri has he if
in is it its jan jul jun left mar may men man mon nan new nil no non none nor not nov null oct odd of old on one per red rs
sat sep six so sun ten the thu to true tue two up usd via was we wed yen yes you
"""
_NUMBERS = """
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen
nineteen twenty
"""

# How a function is written -> its name in a tree.
FUNCTIONS: dict[str, str] = {name: name for name in _SAME.split()}
FUNCTIONS |= dict(zip(_OTHER_NAMES.split()[::2], _OTHER_NAMES.split()[1::2], strict=True))
GREEK = frozenset(_GREEK.split())
CONSTANTS = {"pi": "pi", "Pi": "pi", "infty": "inf", "infinity": "inf", "Infinity": "inf", "oo": "inf", "inf": "inf"}
# English words of two and three letters (and a few more), which are no products of variables.
SHORT_WORDS = frozenset(_SHORT.split())
NUMBER_WORDS = tuple(_NUMBERS.split())

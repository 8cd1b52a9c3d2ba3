"""Paths that were written for a container: `/workspace/x` is read and written at the source of its mount, everywhere."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ns_eval.cluster.clusters import ClusterConfig, load, mount_pair


def mounts_of(cluster: ClusterConfig) -> list[tuple[str, str]]:
    """(source, destination) pairs, the longest destination first."""
    pairs = [mount_pair(mount, cluster.source) for mount in cluster.mounts]
    return sorted(pairs, key=lambda pair: len(pair[1]), reverse=True)


def at_source(cluster: ClusterConfig, text: str) -> str:
    """`text` with every path below a mount's destination moved to the mount's source, whole path components only.

    A path is found at the start of the text or behind `=`, `,`, `:`, a quote, a bracket, white space or `file://`.
    """
    pairs = {destination: source for source, destination in mounts_of(cluster) if destination}
    if not pairs:
        return text
    known = "|".join(re.escape(destination) for destination in pairs)
    pattern = rf"(?:(?<=[=,:\"'\[\{{(\s])|^|(?<=file://))(?P<path>{known})(?=$|[/,:\"'\]\}})\s])"
    return re.sub(pattern, lambda match: pairs[match["path"]], text)


def translate(cluster: ClusterConfig, words: Sequence[str]) -> tuple[list[str], str | None]:
    """The words of a command line at the mounts' sources, and one sentence for people where that changed any."""
    moved = [at_source(cluster, word) for word in words]
    if moved == list(words):
        return moved, None
    used = [f"{there} is {here}" for here, there in mounts_of(cluster) if any(there in word for word in words)]
    return moved, f"paths below mounts are used at their source: {', '.join(used)} ({cluster.source})"


def of_words(words: Sequence[str]) -> ClusterConfig:
    """The cluster that a command line names, before anything else of it is read; for `translate`."""
    found: dict[str, str] = {}
    for number, word in enumerate(words):
        key, equals, value = word.lstrip("-+").partition("=")
        key = key.replace("-", "_")
        if key in ("cluster", "config_dir"):
            found[key] = value if equals else next(iter(words[number + 1 :]), "")
    return load(found.get("cluster"), found.get("config_dir"))

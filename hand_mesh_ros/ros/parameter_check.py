"""Finds parameters that a user gives and that a node does not have. rclpy ignores such parameters without a word."""

import re
import sys
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml
from rclpy.node import Node

_QOS = "qos_overrides."
# A file may be meant for several nodes. Only a name that resembles a known name is a spelling mistake in all likelihood.
_LIKENESS = 0.7


def check(node: Node, has_endpoints: bool = True) -> str:
    """Logs a warning for each parameter that the node does not have, and for each parameter file that sets nothing in the node.

    Returns:
        The warnings that are mistakes in all likelihood, in one line; empty if there are none.

    Args:
        node: a node that has declared its parameters.
        has_endpoints: false while the node has no topics: then overrides of their QoS are not declared yet.
    """
    likely, unlikely = _unknown(node, has_endpoints)
    likely += _idle_files(node, sys.argv)
    for text in (*likely, *unlikely):
        node.get_logger().warning(text)
    return " | ".join(likely)


def _unknown(node: Node, has_endpoints: bool) -> tuple[list[str], list[str]]:
    """Sentences on unknown parameters: those that resemble a parameter of the node, and the others."""
    given = getattr(node, "_parameter_overrides", {})  # rclpy has no public name for the parameters of files and command line
    likely, unlikely = [], []
    known = list(getattr(node, "_parameters", {}))
    for name in given:
        if node.has_parameter(name) or (name.startswith(_QOS) and not has_endpoints):
            continue
        nearest = get_close_matches(name, known, 1, _LIKENESS)
        if nearest:
            likely.append(f"parameter '{name}' is unknown and has no effect: did you mean '{nearest[0]}'?")
        else:
            unlikely.append(f"parameter '{name}' is unknown to this node and has no effect")
    return likely, unlikely


def _idle_files(node: Node, arguments: Sequence[str]) -> list[str]:
    """Sentences on parameter files that are given to the node and have no section for the node."""
    own = node.get_fully_qualified_name()
    sentences = []
    for flag, path in pairwise(arguments):
        if flag != "--params-file":
            continue
        try:
            sections = list(_sections(yaml.safe_load(Path(path).read_text(encoding="utf-8"))))
        except (OSError, yaml.YAMLError):  # rcl has read the file. It may be a temporary file of launch that is gone.
            continue
        if not any(_fits(section, own) for section in sections):
            found = ", ".join(sections) or "empty"
            sentences.append(f"{path} sets nothing for {own}: its sections are {found}; name a section /**/{node.get_name()}")
    return sentences


def _sections(content: Any, above: str = "") -> Iterator[str]:
    """Names of nodes, with wildcards, that have parameters in a parameter file."""
    if not isinstance(content, dict):
        return
    for key, value in content.items():
        name = f"{above}/{str(key).strip('/')}"
        if isinstance(value, dict) and "ros__parameters" in value:
            yield name
        elif isinstance(value, dict):
            yield from _sections(value, name)


def _fits(section: str, node_name: str) -> bool:
    """True if a section with wildcards is for the node: `*` stands for one namespace or name, `**` for any number of them."""
    wildcards = {"**": "(/[^/]+)*", "*": "/[^/]+"}
    pattern = "".join(wildcards.get(token, f"/{re.escape(token)}") for token in section.strip("/").split("/"))
    return re.fullmatch(pattern, node_name) is not None

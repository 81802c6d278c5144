"""The record that every check returns."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """Something that is wrong."""

    about: str  # topic, frame, package or file
    problem: str
    cure: str = ""  # what to do, often a line to type; empty if `problem` says it

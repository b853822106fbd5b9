"""From source text to facts through LibCST: parse once, walk once, keep no tree.

The walk follows the fields that carry meaning and skips all that carries layout, which makes it some forty
times cheaper than a LibCST visitor.
"""

import libcst as cst

from gradlint.model.concrete.statements import block
from gradlint.model.depth import refuse_too_deep
from gradlint.model.extraction import Extraction
from gradlint.model.facts import ModuleFacts
from gradlint.model.syntax import explained
from gradlint.source import Source, SourceError


def parse(source: Source) -> cst.Module:
    """The module's syntax tree.

    Raises:
        SourceError: when the text is not valid Python, or nested too deeply to be parsed.
    """
    refuse_too_deep(source)
    try:
        return cst.parse_module(source.text)
    except cst.ParserSyntaxError as error:
        raise explained(source, error) from error
    except RecursionError as error:
        raise SourceError(source.path, "nested too deeply to be parsed") from error


def walk(source: Source) -> tuple[ModuleFacts, list[cst.CSTNode], cst.Module]:
    """Facts, nodes by number and tree of a module.

    Raises:
        SourceError: when the text cannot be parsed, or is nested too deeply to be followed.
    """
    tree = parse(source)
    extraction: Extraction[cst.CSTNode] = Extraction(source.path)
    try:
        at = extraction.number(tree)
        facts = extraction.module(at, block(tree.body, extraction))
    except RecursionError as error:
        raise SourceError(source.path, "nested too deeply to be followed") from error
    return facts, extraction.nodes, tree

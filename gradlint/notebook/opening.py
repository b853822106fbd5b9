"""Files as sources: a notebook by its cells, anything else as it is."""

import codecs
import json
from collections.abc import Iterable, Iterator, Mapping

from gradlint import source
from gradlint.notebook.cells import RESERVED, joined
from gradlint.notebook.indents import hidden
from gradlint.notebook.layout import written
from gradlint.notebook.magics import is_python, without
from gradlint.source import Notebook, Source, SourceError

SUFFIX = ".ipynb"


def read(path: str, shown_as: str | None = None) -> Source:
    """Read and decode one file, a notebook or not.

    Raises:
        SourceError: when the file cannot be opened or decoded, or is no notebook that we can read.
    """
    shown = path if shown_as is None else shown_as
    return decode(shown, source.contents(path, shown))


def decode(path: str, data: bytes) -> Source:
    """Turn a file's bytes into a source; what its name ends in says what it is.

    Raises:
        SourceError: as :func:`gradlint.source.decode`, or for what is no notebook that we can read.
    """
    if not path.endswith(SUFFIX):
        return source.decode(path, data)
    try:
        raw = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(path, f"not a notebook: it is not UTF-8: {error.reason}") from error
    document = _document(path, raw)
    magics: list[str] = []
    texts = list(_texts(path, raw, magics)) if _is_python(document) else []
    return Source(path, "".join(texts), bom=data.startswith(codecs.BOM_UTF8), notebook=Notebook(raw, tuple(magics)))


def assembled(path: str, texts: Iterable[tuple[int, str]]) -> Source:
    """The source of cells that an editor holds: the number of each among all of the notebook's, from 1, and its text.

    Raises:
        SourceError: for a cell with characters that we need ourselves.
    """
    magics: list[str] = []
    whole = "".join(_joined(path, number, text, magics) for number, text in texts if is_python(text))
    return Source(path, whole, notebook=Notebook("", tuple(magics)))


def _document(path: str, raw: str) -> Mapping[str, object]:
    try:
        document = json.loads(raw)
    except json.JSONDecodeError as error:
        raise SourceError(path, f"not a notebook: {error.msg}", error.lineno, error.colno) from error
    except RecursionError as error:
        raise SourceError(path, "not a notebook: nested too deeply") from error
    if not isinstance(document, dict) or not isinstance(document.get("nbformat"), int):
        raise SourceError(path, "not a notebook: it has no `nbformat`")
    if document["nbformat"] != 4:
        raise SourceError(path, f"notebooks of format {document['nbformat']} are not read; save it in format 4")
    if not isinstance(document.get("cells"), list):
        raise SourceError(path, "not a notebook: it has no list of `cells`")
    return document


def _is_python(document: Mapping[str, object]) -> bool:
    """Whether the kernel is Python's: as the metadata say, and where they say nothing."""
    for name, key in (("kernelspec", "language"), ("language_info", "name")):
        metadata = document.get("metadata")
        about = metadata.get(name) if isinstance(metadata, dict) else None
        if isinstance(about, dict) and isinstance(language := about.get(key), str):
            return language.lower() in ("python", "ipython")
    return True


def _texts(path: str, raw: str, magics: list[str]) -> Iterator[str]:
    for found in written(raw):
        if found.cell.get("cell_type") != "code" or _other_language(found.cell):
            continue
        text = found.text
        if text is None:
            raise SourceError(path, f"not a notebook: the source of cell {found.number} is no text")
        if is_python(text):
            yield _joined(path, found.number, text, magics)


def _joined(path: str, number: int, text: str, magics: list[str]) -> str:
    if any(mark in text for mark in RESERVED):
        raise SourceError(path, f"cell {number} holds a character for private use that gradlint needs")
    code, indented = hidden(text)
    return joined(number, without(code, magics), indented)


def _other_language(cell: Mapping[str, object]) -> bool:
    """Whether an editor has marked a cell as one for another kernel."""
    metadata = cell.get("metadata")
    vscode = metadata.get("vscode") if isinstance(metadata, dict) else None
    return isinstance(vscode, dict) and vscode.get("languageId", "python") != "python"

"""What editors hold open: texts, and notebooks, each of whose cells is a text of its own to them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lsprotocol import types
from pygls.uris import to_fs_path
from pygls.workspace import PositionCodec, TextDocument, Workspace

from gradlint.finding import Span
from gradlint.notebook import SUFFIX, assembled, cells
from gradlint.source import Source, SourceError


@dataclass(frozen=True, slots=True)
class Text:
    """A text as an editor names it, and the line of the source before its first."""

    uri: str
    before: int
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """An open file: what is checked, and the texts it consists of, in order."""

    source: Source
    texts: tuple[Text, ...]
    codec: PositionCodec

    def locate(self, span: Span) -> types.Location:
        """The text that a span begins in, and where in it, in the editor's units."""
        text = next(text for text in reversed(self.texts) if text.before < span.line)
        wanted = types.Range(
            types.Position(span.line - text.before - 1, span.column - 1),
            types.Position(span.end_line - text.before - 1, span.end_column - 1),
        )
        return types.Location(text.uri, self.codec.range_to_client_units(text.lines, wanted))


def opened(workspace: Workspace) -> dict[str, Document]:
    """All that is open, by absolute path."""
    notebooks = workspace.notebook_documents.values()
    in_cells = {cell.document for notebook in notebooks for cell in notebook.cells}
    texts = [text for text in workspace.text_documents.values() if text.uri not in in_cells]
    found = [*(_file(workspace, text) for text in texts), *(_notebook(workspace, notebook) for notebook in notebooks)]
    return {document.source.path: document for document in found if document is not None}


def _file(workspace: Workspace, text: TextDocument) -> Document | None:
    path = to_fs_path(text.uri)
    if path is None or path.endswith(SUFFIX):  # a notebook whose file is looked at as JSON
        return None
    return Document(Source(path, text.source), (_text(text, 0),), workspace.position_codec)


def _notebook(workspace: Workspace, notebook: types.NotebookDocument) -> Document | None:
    path = to_fs_path(notebook.uri)
    if path is None:
        return None
    held = dict(_python(workspace, notebook))
    try:
        source = assembled(path, ((number, text.source) for number, text in held.items()))
    except SourceError:
        return None
    return Document(source, tuple(_cells(source, held)), workspace.position_codec)


def _python(workspace: Workspace, notebook: types.NotebookDocument) -> Iterator[tuple[int, TextDocument]]:
    for number, cell in enumerate(notebook.cells, 1):
        text = workspace.get_text_document(cell.document)
        if cell.kind == types.NotebookCellKind.Code and text.language_id == "python":
            yield number, text


def _cells(source: Source, held: Mapping[int, TextDocument]) -> Iterator[Text]:
    for cell in cells(source):
        yield _text(held[cell.number], cell.before)


def _text(text: TextDocument, before: int) -> Text:
    return Text(text.uri, before, tuple(text.source.splitlines(keepends=True)))

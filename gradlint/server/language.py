"""The protocol: what editors say, and what they are told."""

import asyncio
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from lsprotocol import types
from pygls.lsp.server import LanguageServer

from gradlint import __version__, registry, suppress
from gradlint.diagnostic import ConfigError, Diagnostic, LocatedEdit
from gradlint.rule import RuleError
from gradlint.server.documents import Document, opened
from gradlint.server.session import Session
from gradlint.suppress import ignoring

PATIENCE = 0.15  # seconds without a key pressed before a check begins
_SEVERITIES = {
    "error": types.DiagnosticSeverity.Error,
    "warning": types.DiagnosticSeverity.Warning,
    "advice": types.DiagnosticSeverity.Information,
}
_NOTEBOOKS = types.NotebookDocumentSyncOptions(
    [types.NotebookDocumentFilterWithNotebook("*", [types.NotebookCellLanguage("python")])], save=True
)
_Changed = (
    types.DidOpenTextDocumentParams
    | types.DidChangeTextDocumentParams
    | types.DidSaveTextDocumentParams
    | types.DidOpenNotebookDocumentParams
    | types.DidChangeNotebookDocumentParams
    | types.DidSaveNotebookDocumentParams
)


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found in an open file, as it was then."""

    document: Document
    diagnostics: tuple[Diagnostic, ...]


class GradlintServer(LanguageServer):
    """A server for one project. ``checked`` is what the last check found, by absolute path."""

    def __init__(self) -> None:
        super().__init__(
            "gradlint",
            __version__,
            text_document_sync_kind=types.TextDocumentSyncKind.Incremental,
            notebook_document_sync=_NOTEBOOKS,
        )
        self.checked: dict[str, Checked] = {}
        self._session: Session | None = None
        self._shown: frozenset[str] = frozenset()  # the texts that have findings in the editor
        self._wanted = 0
        self._trouble = ""

    async def check(self) -> None:
        """Check what is open, once nothing has changed for a moment, and publish what is found."""
        self._wanted += 1
        mine = self._wanted
        await asyncio.sleep(PATIENCE)
        if mine != self._wanted:
            return
        documents = opened(self.workspace)
        session = self._current(documents)
        try:
            found = await asyncio.to_thread(session.check)
        except (ConfigError, RuleError) as error:
            self._say(str(error))
            return
        if mine == self._wanted:
            self._trouble = ""
            self.checked = {
                path: Checked(document, tuple(item for item in found if item.path == path))
                for path, document in documents.items()
            }
            self._publish()

    def forget(self, uris: Iterable[str]) -> None:
        """Show nothing any more for texts where something was shown."""
        for uri in self._shown.intersection(uris):
            self._show(uri, [])

    def at(self, uri: str, range_: types.Range) -> Iterator[tuple[Document, Diagnostic]]:
        """The findings that touch a range of a text; none if its file has changed since they were found."""
        now = opened(self.workspace)
        for path, checked in self.checked.items():
            if path not in now or now[path].source.text != checked.document.source.text:
                continue
            for item in checked.diagnostics:
                there = checked.document.locate(item.span)
                if there.uri == uri and _touch(there.range, range_):
                    yield checked.document, item

    def _current(self, documents: Mapping[str, Document]) -> Session:
        if self._session is None:
            self._session = Session(self.workspace.root_path or os.getcwd())
        self._session.open = {path: document.source for path, document in documents.items()}
        return self._session

    def _publish(self) -> None:
        texts = [text.uri for checked in self.checked.values() for text in checked.document.texts]
        self.forget(self._shown.difference(texts))  # a cell that is no longer Python, say
        found: dict[str, list[types.Diagnostic]] = {uri: [] for uri in texts}
        for checked in self.checked.values():
            for item in checked.diagnostics:
                location = checked.document.locate(item.span)
                found[location.uri].append(_diagnostic(checked.document, item, location.range))
        for uri, diagnostics in found.items():
            self._show(uri, diagnostics)

    def _show(self, uri: str, found: list[types.Diagnostic]) -> None:
        self._shown = self._shown | {uri} if found else self._shown - {uri}
        self.text_document_publish_diagnostics(types.PublishDiagnosticsParams(uri, found))

    def _say(self, trouble: str) -> None:
        """Tell the user once."""
        if trouble != self._trouble:
            self._trouble = trouble
            self.window_show_message(types.ShowMessageParams(types.MessageType.Error, f"gradlint: {trouble}"))


def _diagnostic(document: Document, found: Diagnostic, range_: types.Range) -> types.Diagnostic:
    related = [
        types.DiagnosticRelatedInformation(document.locate(note.span), note.message)
        for note in found.notes
        if note.path == found.path  # only of what is open are the units of columns known
    ]
    return types.Diagnostic(
        range=range_,
        severity=_SEVERITIES[found.severity],
        code=found.code,
        code_description=types.CodeDescription(found.url),
        source="gradlint",
        message=f"{found.message}\n{found.help}".rstrip(),
        related_information=related,
    )


def made() -> GradlintServer:
    """A server that listens to what editors say."""
    server = GradlintServer()

    @server.feature(types.TEXT_DOCUMENT_DID_OPEN)
    @server.feature(types.TEXT_DOCUMENT_DID_CHANGE)
    @server.feature(types.TEXT_DOCUMENT_DID_SAVE)
    @server.feature(types.NOTEBOOK_DOCUMENT_DID_OPEN)
    @server.feature(types.NOTEBOOK_DOCUMENT_DID_CHANGE)
    @server.feature(types.NOTEBOOK_DOCUMENT_DID_SAVE)
    async def changed(params: _Changed) -> None:
        await server.check()

    @server.feature(types.TEXT_DOCUMENT_DID_CLOSE)
    async def closed(params: types.DidCloseTextDocumentParams) -> None:
        server.forget([params.text_document.uri])
        await server.check()  # what is on the disk counts again, for the others too

    @server.feature(types.NOTEBOOK_DOCUMENT_DID_CLOSE)
    async def notebook_closed(params: types.DidCloseNotebookDocumentParams) -> None:
        server.forget([cell.uri for cell in params.cell_text_documents])
        await server.check()

    @server.feature(types.TEXT_DOCUMENT_CODE_ACTION)
    def actions(params: types.CodeActionParams) -> list[types.CodeAction]:
        found = server.at(params.text_document.uri, params.range)
        return [action for document, item in found for action in _actions(document, item)]

    @server.feature(types.TEXT_DOCUMENT_HOVER)
    def hover(params: types.HoverParams) -> types.Hover | None:
        here = types.Range(params.position, params.position)
        for document, found in server.at(params.text_document.uri, here):
            page = types.MarkupContent(types.MarkupKind.Markdown, _page(found))
            return types.Hover(page, document.locate(found.span).range)
        return None

    return server


def _actions(document: Document, found: Diagnostic) -> Iterator[types.CodeAction]:
    source = document.source
    if found.fix is not None and all(edit.path == source.path for edit in found.fix.edits):
        title = f"{found.code}: {found.fix.message}" + (" (unsafe)" if found.fix.applicability == "unsafe" else "")
        yield _action(document, title, found.fix.edits, preferred=found.fix.applicability == "safe")
    silence = ignoring(source, found.span.line, [found.code])
    yield _action(document, f"{found.code}: ignore it on this line", (silence,), preferred=False)


def _action(document: Document, title: str, edits: tuple[LocatedEdit, ...], *, preferred: bool) -> types.CodeAction:
    changes: dict[str, list[types.TextEdit]] = {}
    for edit in edits:
        location = document.locate(edit.span)
        changes.setdefault(location.uri, []).append(types.TextEdit(location.range, edit.text))
    return types.CodeAction(
        title=title,
        kind=types.CodeActionKind.QuickFix,
        is_preferred=preferred,
        edit=types.WorkspaceEdit(changes),
    )


def _page(found: Diagnostic) -> str:
    for rule in registry.load(suppress.RULES):
        if rule.code == found.code:
            return f"# {rule.code} {rule.name}\n\n{rule.page}"
    return found.message


def _touch(left: types.Range, right: types.Range) -> bool:
    return _before(left.start, right.end) and _before(right.start, left.end)


def _before(left: types.Position, right: types.Position) -> bool:
    return (left.line, left.character) <= (right.line, right.character)

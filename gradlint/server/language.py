"""The protocol: what editors say, and what they are told."""

import asyncio
import os
from collections.abc import Iterator

from lsprotocol import types
from pygls.lsp.server import LanguageServer
from pygls.uris import from_fs_path, to_fs_path
from pygls.workspace import PositionCodec

from gradlint import __version__, registry, suppress
from gradlint.diagnostic import ConfigError, Diagnostic, LocatedEdit
from gradlint.finding import Span
from gradlint.rule import RuleError
from gradlint.server.session import Checked, Session
from gradlint.source import Source
from gradlint.suppress import ignoring

PATIENCE = 0.15  # seconds without a key pressed before a check begins
_SEVERITIES = {
    "error": types.DiagnosticSeverity.Error,
    "warning": types.DiagnosticSeverity.Warning,
    "advice": types.DiagnosticSeverity.Information,
}


class GradlintServer(LanguageServer):
    """A server for one project. ``checked`` is what the last check found, by absolute path."""

    def __init__(self) -> None:
        super().__init__("gradlint", __version__, text_document_sync_kind=types.TextDocumentSyncKind.Incremental)
        self.checked: dict[str, Checked] = {}
        self._session: Session | None = None
        self._wanted = 0
        self._trouble = ""

    async def check(self) -> None:
        """Check what is open, once nothing has changed for a moment, and publish what is found."""
        self._wanted += 1
        mine = self._wanted
        await asyncio.sleep(PATIENCE)
        if mine != self._wanted:
            return
        session = self._current()
        try:
            checked = await asyncio.to_thread(session.check)
        except (ConfigError, RuleError) as error:
            self._say(str(error))
            return
        if mine == self._wanted:
            self.checked, self._trouble = checked, ""
            for path, found in checked.items():
                self._publish(path, [self._diagnostic(found.source, item) for item in found.diagnostics])

    def forget(self, path: str) -> None:
        """Show nothing for a file that is no longer open."""
        self.checked.pop(path, None)
        self._publish(path, [])

    def at(self, path: str, range_: types.Range) -> Iterator[tuple[Checked, Diagnostic]]:
        """The findings that touch a range; none if the text has changed since they were found."""
        found = self.checked.get(path)
        if found is None or found.source.text != self._open().get(path):
            return
        for item in found.diagnostics:
            there = self.range(found.source, item.span)
            if _before(there.start, range_.end) and _before(range_.start, there.end):
                yield found, item

    def range(self, source: Source, span: Span) -> types.Range:
        """A span in the editor's units."""
        wanted = types.Range(
            types.Position(span.line - 1, span.column - 1), types.Position(span.end_line - 1, span.end_column - 1)
        )
        lines = source.text.splitlines(keepends=True)
        codec: PositionCodec = self.workspace.position_codec
        return codec.range_to_client_units(lines, wanted)

    def _open(self) -> dict[str, str]:
        documents = self.workspace.text_documents.items()
        return {path: item.source for uri, item in documents if (path := to_fs_path(uri)) is not None}

    def _current(self) -> Session:
        if self._session is None:
            self._session = Session(self.workspace.root_path or os.getcwd())
        self._session.open = self._open()
        return self._session

    def _publish(self, path: str, found: list[types.Diagnostic]) -> None:
        uri = from_fs_path(path)
        if uri is not None:
            self.text_document_publish_diagnostics(types.PublishDiagnosticsParams(uri, found))

    def _say(self, trouble: str) -> None:
        """Tell the user once."""
        if trouble != self._trouble:
            self._trouble = trouble
            self.window_show_message(types.ShowMessageParams(types.MessageType.Error, f"gradlint: {trouble}"))

    def _diagnostic(self, source: Source, found: Diagnostic) -> types.Diagnostic:
        related = [
            types.DiagnosticRelatedInformation(
                types.Location(from_fs_path(note.path) or "", self.range(source, note.span)), note.message
            )
            for note in found.notes
            if note.path == source.path  # only of open text are the units of columns known
        ]
        return types.Diagnostic(
            range=self.range(source, found.span),
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
    async def changed(
        params: types.DidOpenTextDocumentParams | types.DidChangeTextDocumentParams | types.DidSaveTextDocumentParams,
    ) -> None:
        await server.check()

    @server.feature(types.TEXT_DOCUMENT_DID_CLOSE)
    def closed(params: types.DidCloseTextDocumentParams) -> None:
        server.forget(to_fs_path(params.text_document.uri) or "")

    @server.feature(types.TEXT_DOCUMENT_CODE_ACTION)
    def actions(params: types.CodeActionParams) -> list[types.CodeAction]:
        path = to_fs_path(params.text_document.uri) or ""
        return [
            action for checked, found in server.at(path, params.range) for action in _actions(server, checked, found)
        ]

    @server.feature(types.TEXT_DOCUMENT_HOVER)
    def hover(params: types.HoverParams) -> types.Hover | None:
        here = types.Range(params.position, params.position)
        for checked, found in server.at(to_fs_path(params.text_document.uri) or "", here):
            page = types.MarkupContent(types.MarkupKind.Markdown, _page(found))
            return types.Hover(page, server.range(checked.source, found.span))
        return None

    return server


def _actions(server: GradlintServer, checked: Checked, found: Diagnostic) -> Iterator[types.CodeAction]:
    source = checked.source
    if found.fix is not None and all(edit.path == source.path for edit in found.fix.edits):
        title = f"{found.code}: {found.fix.message}" + (" (unsafe)" if found.fix.applicability == "unsafe" else "")
        yield _action(server, source, title, found.fix.edits, preferred=found.fix.applicability == "safe")
    silence = ignoring(source, found.span.line, [found.code])
    yield _action(server, source, f"{found.code}: ignore it on this line", (silence,), preferred=False)


def _action(
    server: GradlintServer, source: Source, title: str, edits: tuple[LocatedEdit, ...], *, preferred: bool
) -> types.CodeAction:
    changes = [types.TextEdit(server.range(source, edit.span), edit.text) for edit in edits]
    return types.CodeAction(
        title=title,
        kind=types.CodeActionKind.QuickFix,
        is_preferred=preferred,
        edit=types.WorkspaceEdit({from_fs_path(source.path) or "": changes}),
    )


def _page(found: Diagnostic) -> str:
    for rule in registry.load(suppress.RULES):
        if rule.code == found.code:
            return f"# {rule.code} {rule.name}\n\n{rule.page}"
    return found.message


def _before(left: types.Position, right: types.Position) -> bool:
    return (left.line, left.character) <= (right.line, right.character)

"""A session with the server, as an editor has it: a process of its own, spoken to in the protocol."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from lsprotocol import types
from pygls.lsp.client import LanguageClient

PATIENCE = 60  # seconds
HELPERS = "def predict(model, images):\n    return model(images)\n"
EVALUATION = """\
from helpers import predict
name = "ü😀"; import torch; torch.ones(3).requires_grad(True)
"""
_ABLE = types.ClientCapabilities(
    notebook_document=types.NotebookDocumentClientCapabilities(types.NotebookDocumentSyncClientCapabilities())
)


class Editor:
    """A client that keeps what the server publishes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.client = LanguageClient("editor", "1")
        self.published: asyncio.Queue[types.PublishDiagnosticsParams] = asyncio.Queue()

        self.client.feature(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)(lambda params: self.published.put_nowait(params))

    async def start(self) -> types.InitializeResult:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        await self.client.start_io(sys.executable, "-m", "gradlint", "server", cwd=self.folder, env=environment)
        result = await self.client.initialize_async(types.InitializeParams(_ABLE, root_uri=self.folder.as_uri()))
        self.client.initialized(types.InitializedParams())
        return result

    async def next(self) -> types.PublishDiagnosticsParams:
        return await asyncio.wait_for(self.published.get(), PATIENCE)

    def uri(self, name: str) -> str:
        return (self.folder / name).as_uri()

    def open(self, name: str, text: str) -> None:
        item = types.TextDocumentItem(self.uri(name), "python", 1, text)
        self.client.text_document_did_open(types.DidOpenTextDocumentParams(item))

    def change(self, name: str, text: str, version: int) -> None:
        document = types.VersionedTextDocumentIdentifier(version, self.uri(name))
        whole = types.TextDocumentContentChangeWholeDocument(text)
        self.client.text_document_did_change(types.DidChangeTextDocumentParams(document, [whole]))

    def open_notebook(self, name: str, *texts: str) -> None:
        cells = [
            types.NotebookCell(types.NotebookCellKind.Code, self.cell(name, number)) for number in range(len(texts))
        ]
        notebook = types.NotebookDocument(self.uri(name), "jupyter-notebook", 1, cells)
        items = [
            types.TextDocumentItem(cell.document, "python", 1, text) for cell, text in zip(cells, texts, strict=True)
        ]
        self.client.notebook_document_did_open(types.DidOpenNotebookDocumentParams(notebook, items))

    def change_cell(self, name: str, number: int, text: str) -> None:
        document = types.VersionedTextDocumentIdentifier(2, self.cell(name, number))
        content = types.NotebookDocumentCellContentChanges(
            document, [types.TextDocumentContentChangeWholeDocument(text)]
        )
        change = types.NotebookDocumentChangeEvent(cells=types.NotebookDocumentCellChanges(text_content=[content]))
        notebook = types.VersionedNotebookDocumentIdentifier(2, self.uri(name))
        self.client.notebook_document_did_change(types.DidChangeNotebookDocumentParams(notebook, change))

    def cell(self, name: str, number: int) -> str:
        return self.uri(name).replace("file:", "vscode-notebook-cell:") + f"#C{number}"

    async def findings(self, uri: str) -> list[types.Diagnostic]:
        """The findings in a text, once some are published."""
        while (params := await self.next()).uri != uri or not params.diagnostics:
            pass
        return list(params.diagnostics)

    async def silence(self, uri: str) -> None:
        """Wait until it is published that a text has no findings."""
        while (params := await self.next()).uri != uri or params.diagnostics:
            pass

    async def stop(self) -> None:
        await asyncio.wait_for(self.client.shutdown_async(None), PATIENCE)
        self.client.exit(None)
        await self.client.stop()


def session(folder: Path, talk: Callable[[Editor], Awaitable[None]]) -> None:
    async def whole() -> None:
        editor = Editor(folder)
        await editor.start()
        try:
            await talk(editor)
        finally:
            await editor.stop()

    asyncio.run(whole())


def test_findings_come_with_unsaved_text_and_go_with_it(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")

    async def talk(editor: Editor) -> None:
        editor.open("a.py", EVALUATION)
        [found] = (await editor.next()).diagnostics
        assert (found.code, found.source, found.severity) == ("GL503", "gradlint", types.DiagnosticSeverity.Error)
        line = EVALUATION.splitlines()[1]
        column = len(line[: line.index("torch.ones")].encode("utf-16-le")) // 2
        assert found.range.start == types.Position(1, column)
        editor.change("a.py", "x = 1\n", 2)
        assert not (await editor.next()).diagnostics

    session(tmp_path, talk)


def test_actions_mend_or_silence_and_hovering_shows_the_page(tmp_path: Path) -> None:
    text = "import torch\nx = torch.ones(3)\nx.requires_grad(True)\n"
    here = types.Range(types.Position(2, 3), types.Position(2, 3))

    async def talk(editor: Editor) -> None:
        editor.open("a.py", text)
        await editor.next()
        document = types.TextDocumentIdentifier(editor.uri("a.py"))
        actions = await editor.client.text_document_code_action_async(
            types.CodeActionParams(document, here, types.CodeActionContext([]))
        )
        assert actions is not None
        texts = [
            applied(text, action, editor.uri("a.py")) for action in actions if isinstance(action, types.CodeAction)
        ]
        assert texts == [
            text.replace("requires_grad(", "requires_grad_("),
            text.replace("(True)", "(True)  # gradlint: ignore[GL503]"),
        ]
        hover = await editor.client.text_document_hover_async(types.HoverParams(document, here.start))
        assert hover is not None
        assert isinstance(hover.contents, types.MarkupContent)
        assert hover.contents.value.startswith("# GL503 called-requires-grad\n")
        away = types.HoverParams(document, types.Position(0, 0))
        assert await editor.client.text_document_hover_async(away) is None

    session(tmp_path, talk)


def applied(text: str, action: types.CodeAction, uri: str) -> str:
    assert action.edit is not None
    assert action.edit.changes is not None
    [edit] = action.edit.changes[uri]
    lines = text.splitlines(keepends=True)
    start, end = edit.range.start, edit.range.end
    assert start.line == end.line
    line = lines[start.line]
    lines[start.line] = line[: start.character] + edit.new_text + line[end.character :]
    return "".join(lines)


def test_what_other_files_say_is_known_saved_or_not(tmp_path: Path) -> None:
    (tmp_path / "helpers.py").write_text(HELPERS)
    caller = (
        "from helpers import predict\n\n\ndef evaluate(model, loader):\n    model.eval()\n"
        "    return sum(predict(model, images).argmax(1).sum().item() for images in loader)\n"
    )
    (tmp_path / "evaluation.py").write_text(caller)

    async def talk(editor: Editor) -> None:
        editor.open("evaluation.py", caller)
        assert [found.code for found in (await editor.next()).diagnostics] == ["GL101"]
        editor.open("helpers.py", "import torch\n" + HELPERS.replace("def", "@torch.no_grad()\ndef"))
        both = [await editor.next(), await editor.next()]
        assert all(not params.diagnostics for params in both)

    session(tmp_path, talk)


def test_bad_settings_are_told_and_do_not_end_the_server(tmp_path: Path) -> None:
    (tmp_path / "gradlint.toml").write_text("selct = []\n")

    async def talk(editor: Editor) -> None:
        messages: asyncio.Queue[types.ShowMessageParams] = asyncio.Queue()
        editor.client.feature(types.WINDOW_SHOW_MESSAGE)(lambda params: messages.put_nowait(params))
        editor.open("a.py", EVALUATION)
        message = await asyncio.wait_for(messages.get(), PATIENCE)
        assert "did you mean `select`?" in message.message
        (tmp_path / "gradlint.toml").write_text("")
        editor.change("a.py", EVALUATION, 2)
        assert [found.code for found in (await editor.next()).diagnostics] == ["GL503"]

    session(tmp_path, talk)


def test_the_cells_of_a_notebook_are_one_program_and_findings_stand_in_their_cells(tmp_path: Path) -> None:
    first, second = "%matplotlib inline\nimport torch\nx = torch.ones(3)\n", "y = 1\n%time x.requires_grad(True)"

    async def talk(editor: Editor) -> None:
        one, two = editor.cell("n.ipynb", 0), editor.cell("n.ipynb", 1)
        editor.open_notebook("n.ipynb", first, second)
        [diagnostic] = await editor.findings(two)
        assert (diagnostic.code, diagnostic.range.start) == ("GL503", types.Position(1, len("%time ")))
        context = types.CodeActionContext([])
        asked = types.CodeActionParams(types.TextDocumentIdentifier(two), diagnostic.range, context)
        mend, silence = await editor.client.text_document_code_action_async(asked) or []
        assert isinstance(mend, types.CodeAction)
        assert isinstance(silence, types.CodeAction)
        assert applied(second, mend, two) == "y = 1\n%time x.requires_grad_(True)"
        assert applied(second, silence, two) == second + "  # gradlint: ignore[GL503]"
        editor.change_cell("n.ipynb", 1, "%%bash\nls")
        await editor.silence(two)
        editor.change_cell("n.ipynb", 0, "%%time\n" + first + "x.requires_grad(True)")
        [diagnostic] = await editor.findings(one)
        assert diagnostic.range.start.line == 4

    session(tmp_path, talk)


def test_a_notebook_uses_the_files_beside_it_and_closing_it_takes_its_findings_away(tmp_path: Path) -> None:
    (tmp_path / "helpers.py").write_text(HELPERS)
    calling = (
        "from helpers import predict\nmodel.eval()\n"
        "for images in loader:\n    print(predict(model, images).argmax(1).item())"
    )

    async def talk(editor: Editor) -> None:
        cell = editor.cell("n.ipynb", 0)
        editor.open_notebook("n.ipynb", calling)
        assert [found.code for found in await editor.findings(cell)] == ["GL101"]
        notebook = types.NotebookDocumentIdentifier(editor.uri("n.ipynb"))
        closed = types.DidCloseNotebookDocumentParams(notebook, [types.TextDocumentIdentifier(cell)])
        editor.client.notebook_document_did_close(closed)
        await editor.silence(cell)

    session(tmp_path, talk)

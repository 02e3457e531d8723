// Starts `cwl-prefect lsp`, and shows graphs beside documents.
const vscode = require("vscode");
const { LanguageClient } = require("vscode-languageclient/node");

const GRAPH = "cwl-prefect.graph";
const PAUSE_MS = 500; // without typing, before the graph is drawn again

let client;
const panels = new Map(); // by the document's URI

function startClient() {
  const [command, ...args] = vscode.workspace.getConfiguration("cwl-prefect").get("command");
  client = new LanguageClient(
    "cwl-prefect",
    "cwl-prefect",
    { command, args },
    { documentSelector: [{ scheme: "file", language: "cwl" }] },
  );
  return client.start().catch(() => {
    vscode.window.showErrorMessage(
      `${command} does not start. Install it by: pip install 'cwl-prefect[lsp]', or name it in the setting cwl-prefect.command.`,
    );
  });
}

async function restart() {
  await client?.stop().catch(() => undefined);
  await startClient();
}

function escaped(text) {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}

// The page runs no scripts and loads nothing: names in a graph are those of a document, which may be a stranger's.
function page(body) {
  const policy = "default-src 'none'; style-src 'unsafe-inline'";
  return `<!DOCTYPE html><html><head><meta http-equiv="Content-Security-Policy" content="${policy}">
<style>body { background: white; color: black } svg { max-width: 100%; height: auto }</style></head><body>${body}</body></html>`;
}

async function draw(uri) {
  const panel = panels.get(uri);
  if (panel === undefined) return;
  try {
    const svg = await client.sendRequest("workspace/executeCommand", { command: GRAPH, arguments: [uri] });
    panel.webview.html = page(svg.slice(svg.indexOf("<svg")));
  } catch (error) {
    // what was drawn last stays while a document is not valid
    if (panel.webview.html === "") panel.webview.html = page(`<pre>${escaped(error.message)}</pre>`);
  }
}

function showGraph() {
  const document = vscode.window.activeTextEditor?.document;
  if (document === undefined || document.languageId !== "cwl") return undefined;
  const uri = document.uri.toString();
  if (!panels.has(uri)) {
    const title = `Graph of ${document.uri.path.split("/").pop()}`;
    const beside = { viewColumn: vscode.ViewColumn.Beside, preserveFocus: true };
    const panel = vscode.window.createWebviewPanel("cwl-prefect.graph", title, beside, { enableScripts: false });
    panel.onDidDispose(() => panels.delete(uri));
    panels.set(uri, panel);
  }
  return draw(uri);
}

function activate(context) {
  const waiting = new Map();
  context.subscriptions.push(
    vscode.commands.registerCommand("cwl-prefect.showGraph", showGraph),
    vscode.commands.registerCommand("cwl-prefect.restart", restart),
    vscode.workspace.onDidChangeTextDocument(({ document }) => {
      const uri = document.uri.toString();
      if (!panels.has(uri)) return;
      clearTimeout(waiting.get(uri));
      waiting.set(uri, setTimeout(() => draw(uri), PAUSE_MS));
    }),
  );
  return startClient();
}

function deactivate() {
  return client?.stop();
}

module.exports = { activate, deactivate };

// One line at the top of every page while the server does not answer, in place of Streamlit's own dialog, which names
// programs and covers the page. Streamlit reconnects by itself; the line goes when the server answers.

const ASK_EVERY_MS = 2000;
const STREAMLITS_TITLES = new Set(["Connection error", "Connection lost"]);
const LINE = "outfold-connection";

/** Return Streamlit's dialog on a lost connection with its close button, null if none is open. */
function streamlitsDialog() {
  for (const dialog of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll('[data-testid="stDialog"]'))) {
    if (STREAMLITS_TITLES.has(dialog.querySelector("h2")?.textContent.trim() ?? "")) return { dialog, close: /** @type {HTMLElement | null} */ (dialog.querySelector('button[aria-label="Close"]')) };
  }
  return null;
}

/** @param {{ data: { address: string } }} component */
export default function watch({ data }) {
  const page = /** @type {typeof globalThis & { outfoldConnection?: boolean }} */ (globalThis);
  if (page.outfoldConnection) return undefined; // one watch a page, however often it is drawn
  page.outfoldConnection = true;
  const replace = () => {
    const found = streamlitsDialog();
    if (!found) return;
    found.dialog.style.display = "none"; // it takes a moment to go
    found.close?.click();
    show(data.address);
  };
  new MutationObserver(replace).observe(document.body, { childList: true }); // its parent only, so that new cards cost nothing
  replace();
  return undefined;
}

/** @param {string} address */
function show(address) {
  if (document.getElementById(LINE)) return;
  const line = document.createElement("div");
  line.id = LINE;
  line.setAttribute("role", "status");
  line.textContent = "The server does not answer. Trying again; verdicts and strokes are kept in this browser meanwhile.";
  document.body.append(line);
  const ask = async () => {
    const answer = await fetch(address, { cache: "no-store" }).catch(() => null);
    const login = answer?.status === 401 && answer.headers.get("X-Outfold-Login");
    if (login) location.assign(`${login}?next=${encodeURIComponent(location.pathname + location.search)}`);
    else if (answer?.ok) line.remove();
    else setTimeout(ask, ASK_EVERY_MS);
  };
  setTimeout(ask, ASK_EVERY_MS);
}

// Parts of a page that follow the server: what is marked data-live, and forms whose answer appears in place.
// XMLHttpRequest reads HTML without a sink of Trusted Types.
const POLL = 15_000, LIVE = "Live", POLLING = "No live connection: this page asks again every 15 seconds";

const load = (url, body) => new Promise((done, failed) => {
  const request = new XMLHttpRequest();
  request.open(body ? "POST" : "GET", url);
  request.responseType = "document";
  request.onload = () => (request.response ? done(request) : failed());
  request.onerror = failed;
  request.send(body);
});

/** Replaces an element by its counterpart; what was open is open again, and what had the focus has it. */
const swap = (old, page) => {
  const next = page.getElementById(old.id), controls = (root) => [...root.querySelectorAll("a, button, input, summary, [tabindex]")];
  if (!next || old.isEqualNode(next)) return;
  for (const one of old.querySelectorAll("details[id][open]")) next.querySelector(`#${one.id}`)?.setAttribute("open", "");
  const focus = controls(old).indexOf(document.activeElement);
  old.replaceWith(document.adoptNode(next));
  controls(next)[focus]?.focus({ preventScroll: true });
};

customElements.define("live-view", class extends HTMLElement {
  connectedCallback() {
    document.addEventListener("visibilitychange", () => (document.hidden ? this.close() : this.open(true)));
    if (!document.hidden) this.open();
  }
  open(again) { // a hidden tab keeps no connection: a browser has six for a host
    this.close();
    this.events = new EventSource(this.getAttribute("src"));
    this.events.onopen = () => { this.state("live", LIVE); if (again) this.refresh(); again = true; };
    this.events.onerror = () => this.poll();
    this.events.addEventListener("changed", () => this.refresh());
  }
  close() { this.events?.close(); clearTimeout(this.timer); }
  poll() { // while it is merely interrupted, the browser connects again by itself
    this.state("polling", POLLING);
    if (this.events.readyState === EventSource.CLOSED) this.timer = setTimeout(() => { this.refresh(); this.open(); }, POLL);
  }
  state(name, text) { if (this.dataset.state !== name) { this.dataset.state = name; this.textContent = text; } }
  async refresh() {
    if (!document.querySelector("[data-live]")) return; // a page that explains an error has nothing to follow
    if (this.busy) return void (this.due = true);
    this.busy = true;
    try {
      const { response } = await load(this.getAttribute("page") || location.pathname + location.search);
      for (const one of document.querySelectorAll("[data-live]")) if (one.isConnected) swap(one, response);
    } catch { this.poll(); }
    this.busy = false;
    if (this.due) { this.due = false; this.refresh(); }
  }
});

document.addEventListener("submit", async (event) => { // a button with data-shows: that part of the answer appears here
  const button = event.submitter, form = event.target, shown = document.getElementById(button?.dataset.shows);
  if (!shown) return;
  event.preventDefault();
  if (form.ariaBusy) return;
  form.ariaBusy = "true";
  const url = button.hasAttribute("formaction") ? button.formAction : form.action;
  try {
    const answer = await load(url, new FormData(form, button));
    if (answer.responseURL === url) swap(document.getElementById(shown.id), answer.response);
    else location.assign(answer.responseURL); // it was done, and the answer is another page
  } catch { button.dataset.shows = ""; button.click(); }
  form.ariaBusy = null;
});

// Everything works without this file; it saves reloads, and lets keys and pointers read the chart.
const policy = window.trustedTypes?.createPolicy("console", { createHTML: (html) => html });
const parse = (html) => new DOMParser().parseFromString(policy ? policy.createHTML(html) : html, "text/html");

/** Shows a page of this console in place of the present one; the focus stays where it was. A new page where it cannot. */
export async function show(url, { remember = true } = {}) {
  const answer = await fetch(url, { headers: { accept: "text/html" } });
  const page = parse(await answer.text()), main = page.querySelector("main");
  if (!main || new URL(answer.url).pathname !== new URL(url, location.href).pathname) return location.assign(url);
  const focused = document.activeElement?.id, open = [...document.querySelectorAll("details[id][open]")].map((one) => one.id);
  document.querySelector("main").replaceWith(document.adoptNode(main));
  document.title = page.title;
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  if (remember) history.pushState(null, "", url);
}

addEventListener("popstate", () => show(location.href, { remember: false }));
addEventListener("click", (event) => {
  const link = event.target.closest?.("a[data-swap]");
  if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  show(link.href);
});
addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches("[data-swap]")) return;
  event.preventDefault();
  show(`${form.action.split("?")[0]}?${new URLSearchParams(new FormData(form))}`);
});
addEventListener("change", (event) => event.target.closest("form[data-swap]")?.requestSubmit());
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
  const wanted = document.querySelector(`[data-key="${CSS.escape(event.key.toLowerCase())}"]`);
  if (!wanted) return;
  event.preventDefault();
  wanted.matches("input, select") ? wanted.focus() : wanted.click();
});
addEventListener("copy", (event) => {
  const text = getSelection().toString().trim(), at = getSelection().anchorNode;
  const figure = (at instanceof Element ? at : at?.parentElement)?.closest("[title$=' USD']");
  if (!text || text !== figure?.textContent.trim()) return;
  event.preventDefault(); // what is rounded for the eye is copied with every digit
  event.clipboardData.setData("text/plain", figure.title.replace(" USD", ""));
});

/** A chart whose days are walked by arrows, and whose list of a day is shown by pointer, focus and touch alike. */
customElements.define("day-chart", class extends HTMLElement {
  connectedCallback() {
    this.days = [...this.querySelectorAll(".day")];
    this.lists = this.days.map((day) => day.querySelector("title").textContent.split("\n").map((line) => line.split("\t")));
    for (const day of this.days) day.querySelector("title").remove();
    this.tip = document.createElement("div");
    this.tip.className = "tip";
    this.tip.hidden = true;
    this.tip.setAttribute("aria-hidden", "true"); // a reader hears the label of the day and has the table
    this.append(this.tip);
    this.addEventListener("pointerover", (event) => this.list(event.target.closest(".day")));
    this.addEventListener("pointerleave", () => this.list(document.activeElement.closest("day-chart .day")));
    this.addEventListener("focusin", (event) => this.list(event.target.closest(".day")));
    this.addEventListener("focusout", () => this.list(null));
    this.addEventListener("keydown", (event) => this.walk(event));
    this.addEventListener("pointerdown", (event) => (this.touched = event.pointerType === "touch" && event.target.closest(".day")));
    this.addEventListener("click", (event) => this.touch(event), true);
  }
  list(day) {
    if (day === this.listed) return;
    this.listed?.classList.remove("now");
    this.listed = day;
    this.tip.hidden = !day;
    if (!day) return;
    day.classList.add("now");
    const place = this.days.indexOf(day), colours = day.dataset.colours.split(" ").filter(Boolean);
    const [[name, state], total, ...rest] = this.lists[place];
    const series = rest.filter(([amount]) => amount).reverse(), why = rest.filter(([amount]) => !amount);
    this.tip.replaceChildren(
      line([name]), line(["Total", total[0]], "total"),
      ...series.map(([amount, label], at) => line([swatch(colours[colours.length - 1 - at]), label, amount])),
      ...[state, ...why.map(([, reason]) => reason)].filter(Boolean).map((text) => line([text], "soft")),
    );
    const centre = (place + 0.5) / this.days.length, left = this.querySelector("svg").getBoundingClientRect().left - this.getBoundingClientRect().left;
    const x = left + (this.clientWidth - left) * centre, half = this.clientWidth / this.days.length / 2 + 10;
    const side = x + half + this.tip.offsetWidth > this.clientWidth ? x - half - this.tip.offsetWidth : x + half;
    this.tip.style.left = `${Math.max(0, side)}px`;
  }
  walk(event) {
    if (event.key === "Escape") this.list(null);
    walk(event, this.days, { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -7, ArrowDown: 7 });
  }
  touch(event) {
    const first = this.touched && this.touched !== this.opened;
    this.opened = this.touched;
    if (!first) return;
    event.preventDefault(); // a second touch opens the day
    event.stopPropagation();
    this.list(this.touched);
  }
});

/** A calendar whose weeks are columns. */
customElements.define("day-calendar", class extends HTMLElement {
  connectedCallback() {
    const steps = { ArrowLeft: -7, ArrowRight: 7, ArrowUp: -1, ArrowDown: 1 };
    this.addEventListener("keydown", (event) => walk(event, [...this.querySelectorAll(".cell")], steps));
  }
});

const walk = (event, days, steps) => {
  const from = days.indexOf(event.target.closest(".day, .cell")), step = { Home: -1e4, End: 1e4, ...steps }[event.key];
  if (from < 0 || !step) return;
  event.preventDefault();
  const day = days[Math.min(days.length - 1, Math.max(0, from + step))];
  days[from].setAttribute("tabindex", "-1");
  day.setAttribute("tabindex", "0");
  day.focus();
};

const line = (parts, name = "") => {
  const row = document.createElement("p");
  row.className = name;
  row.append(...parts.map((part, at) => (part instanceof Node ? part : element(at && at === parts.length - 1 ? "b" : "span", part))));
  return row;
};
const element = (name, text) => Object.assign(document.createElement(name), { textContent: text });
const swatch = (colour) => {
  const [svg, rect] = ["svg", "rect"].map((name) => document.createElementNS("http://www.w3.org/2000/svg", name));
  for (const side of ["width", "height"]) { svg.setAttribute(side, 12); rect.setAttribute(side, 12); }
  svg.setAttribute("class", "swatch");
  rect.setAttribute("class", `c${colour}`);
  svg.append(rect);
  return svg;
};

/** A button that turns through automatic, light and dark, and remembers it in a cookie that the server reads. */
customElements.define("theme-switch", class extends HTMLElement {
  connectedCallback() {
    this.button = document.createElement("button");
    this.button.className = "plain";
    this.button.addEventListener("click", () => this.turn());
    this.replaceChildren(this.button);
    this.label();
  }
  turn() {
    const themes = ["", "light", "dark"], root = document.documentElement;
    const theme = themes[(themes.indexOf(root.dataset.theme ?? "") + 1) % 3];
    theme ? (root.dataset.theme = theme) : delete root.dataset.theme;
    document.cookie = `theme=${theme}; path=/; max-age=${theme ? 31536000 : 0}; samesite=lax`;
    this.label();
  }
  label() { this.button.textContent = `Theme: ${document.documentElement.dataset.theme ?? "auto"}`; }
});

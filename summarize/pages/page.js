"use strict";
const typeset = (root) => {
  if (!window.katex) return;
  for (const place of root.querySelectorAll(".math:not([data-set])")) {
    place.dataset.set = "1";
    const source = place.textContent;
    try {
      katex.render(source, place, {
        displayMode: place.classList.contains("display"), throwOnError: true, trust: false, maxExpand: 200, maxSize: 20, strict: "ignore",
      });
    } catch {
      place.textContent = source;
    }
  }
};
const samples = [...document.querySelectorAll("details.sample[data-marks]")];
for (const sample of samples) sample.addEventListener("toggle", () => sample.open && typeset(sample));
const said = document.getElementById("shown");
const fields = ["run", "mark", "search"].map((name) => document.getElementById("filter-" + name));
const filter = () => {
  const [run, mark, search] = fields.map((field) => field.value.toLowerCase());
  let count = 0;
  for (const sample of samples) {
    const kept = (!run || sample.dataset.runs.toLowerCase().split("\n").includes(run))
      && (!mark || sample.dataset.marks.split(" ").includes(mark))
      && (!search || sample.textContent.toLowerCase().includes(search));
    sample.hidden = !kept;
    count += kept;
  }
  said.textContent = count + " of " + samples.length + " questions";
};
if (said) for (const field of fields) field.addEventListener("input", filter);
const open = () => {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target && target.matches("details")) { target.open = true; target.scrollIntoView(); }
};
addEventListener("hashchange", open);
open();
addEventListener("beforeprint", () => typeset(document));
const amount = (text) => { const found = parseFloat(text.replace(/[^0-9.+-]/g, "")); return Number.isNaN(found) ? -Infinity : found; };
for (const head of document.querySelectorAll("th.sorts")) {
  const sort = () => {
    const body = head.closest("table").tBodies[0], at = head.cellIndex, down = head.getAttribute("aria-sort") !== "descending";
    for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const number = head.classList.contains("num");
    const rows = [...body.rows].sort((a, b) => {
      const [x, y] = [a, b].map((row) => row.cells[at].textContent);
      return (number ? amount(x) - amount(y) : x.localeCompare(y)) * (down ? -1 : 1);
    });
    body.append(...rows);
  };
  head.addEventListener("click", sort);
  head.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); sort(); } });
}

"use strict";
const body = document.querySelector("tbody");
const rows = [...body.rows];
const heads = [...document.querySelectorAll("thead th")];
const find = document.getElementById("find");
const contrast = document.getElementById("contrast");
const reason = document.getElementById("reason");
const text = new Map(rows.map((row) => [row, row.cells[1].textContent.toLowerCase()]));

function compare(a, b) {
  const x = Number(a), y = Number(b);
  return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b, "en", { numeric: true }) : x - y;
}

function sort(column) {
  const head = heads[column];
  const down = head.getAttribute("aria-sort") === "ascending";
  heads.forEach((other) => other.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const keyed = rows.map((row, order) => ({ row, order, key: row.cells[column].dataset.v }));
  keyed.sort((a, b) => {
    if (a.key === undefined || b.key === undefined) {  // cells without a value are sorted last in both directions
      return (a.key === undefined) - (b.key === undefined) || a.order - b.order;
    }
    return (down ? -1 : 1) * compare(a.key, b.key) || a.order - b.order;
  });
  body.append(...keyed.map((item) => item.row));
}

function filter() {
  const verdict = document.querySelector("input[name=verdict]:checked").value;
  const words = find.value.toLowerCase();
  let shown = 0;
  for (const row of rows) {
    row.hidden = !((verdict === "all" || row.dataset.verdict === verdict)
      && (!contrast.value || row.dataset.contrast === contrast.value)
      && text.get(row).includes(words));
    shown += !row.hidden;
  }
  document.getElementById("shown").textContent = `${shown} shown`;
  document.getElementById("nothing").hidden = shown > 0;
}

heads.forEach((head, column) => head.querySelector("button")?.addEventListener("click", () => sort(column)));
document.querySelector("form").addEventListener("input", filter);
body.addEventListener("click", (event) => {  // on touch screens, a tap shows the reason
  const cell = event.target.closest("td[title]");
  reason.hidden = !cell;
  if (cell) reason.textContent = `${heads[cell.cellIndex].textContent.trim()}: ${cell.title}`;
});
document.addEventListener("keydown", (event) => { if (event.key === "Escape") reason.hidden = true; });
filter();

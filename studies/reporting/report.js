"use strict";
const root = document.documentElement;
const dark = () => (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
const toggle = document.querySelector(".theme");
const named = () => { toggle.textContent = dark() ? "Light page" : "Dark page"; };
try { root.dataset.theme = localStorage.getItem("theme") || ""; } catch { root.dataset.theme = ""; } // storage may be forbidden
named();
toggle.addEventListener("click", () => {
  root.dataset.theme = dark() ? "light" : "dark";
  try { localStorage.setItem("theme", root.dataset.theme); } catch { /* the choice then lasts as long as the page */ }
  named();
});

// Rows by one column: numbers by size, the rest as words, empty cells last whichever the direction; equal ones keep their order.
const sort = (head) => {
  const body = head.closest("table").tBodies[0];
  const column = [...head.parentNode.children].indexOf(head);
  const falling = head.getAttribute("aria-sort") === "ascending";
  const key = (row) => { const cell = row.cells[column]; return cell.dataset.v ?? cell.textContent.trim(); };
  const numeric = head.dataset.kind === "number";
  const compare = (a, b) => (numeric ? a - b : a.localeCompare(b, "en", { numeric: true }));
  const rows = [...body.rows].map((row) => [numeric && key(row) !== "" ? Number(key(row)) : key(row), row]);
  rows.sort(([a], [b]) => (a === "" || b === "" ? (a === "") - (b === "") : falling ? compare(b, a) : compare(a, b)));
  body.append(...rows.map(([, row]) => row));
  for (const other of head.parentNode.children) other.setAttribute("aria-sort", "none");
  head.setAttribute("aria-sort", falling ? "descending" : "ascending");
};
for (const button of document.querySelectorAll("thead button")) button.addEventListener("click", () => sort(button.parentNode));

// The list of contents is open where there is room beside the text.
const contents = document.querySelector("nav details");
if (matchMedia("(min-width: 68rem)").matches) contents.open = true;

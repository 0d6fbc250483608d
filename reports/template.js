"use strict";

const key = (row, column) => {
  const cell = row.cells[column];
  if (!cell.hasAttribute("data-sort")) return cell.innerText.trim();
  return cell.dataset.sort === "" ? null : Number(cell.dataset.sort.replace("inf", "Infinity"));
};

const compare = (a, b) => typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true });

/* Each body on its own, so that reference rows stay apart; rows without a value go last in either direction. */
const sort = (table, column, direction) => {
  for (const body of table.tBodies) {
    const rows = Array.from(body.rows, (row) => [key(row, column), row]);
    rows.sort(([a], [b]) => a === null || b === null ? (a === null) - (b === null) : direction * compare(a, b));
    body.append(...rows.map(([, row]) => row));
  }
};

const makeSortable = (table) => {
  const heads = Array.from(table.tHead.rows[0].cells);
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    const words = document.createElement("span");
    words.append(...head.childNodes);
    button.append(words);
    head.append(button);
    button.addEventListener("click", () => {
      const ascending = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      sort(table, column, ascending ? 1 : -1);
    });
  });
};

/* Rows that hold every word stay. */
const makeFilterable = (place) => {
  const rows = Array.from(place.querySelectorAll("tbody tr"), (row) => [row, row.textContent.toLowerCase()]);
  const controls = document.createElement("div");
  controls.className = "controls";
  const label = document.createElement("label");
  const input = document.createElement("input");
  input.type = "search";
  label.append(`Filter (${place.dataset.filter}) `, input);
  const count = document.createElement("output");
  controls.append(label, count);
  place.prepend(controls);
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const [row, text] of rows) {
      row.hidden = !words.every((word) => text.includes(word));
      shown += !row.hidden;
    }
    count.textContent = words.length ? `${shown} of ${rows.length} rows` : "";
  });
};

const openTarget = () => {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target instanceof HTMLDetailsElement) {
    target.open = true;
    target.scrollIntoView();
    target.firstElementChild.focus();
  }
};

document.querySelectorAll("table").forEach(makeSortable);
document.querySelectorAll("[data-filter]").forEach(makeFilterable);
addEventListener("hashchange", openTarget);
openTarget();

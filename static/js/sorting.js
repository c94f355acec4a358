/**
 * Tables that are sorted by their heads: <table data-sortable>. Until a head is pressed the order is
 * the server's. A cell sorts by its data-sort, else its time, else its number or text; a head without
 * a visible word, and one with data-unsorted, sorts nothing.
 */

const NUMBER = /^[+\-\u2212]?\d[\d.,]*(?=\s|%|$)/;

/** What a cell sorts by: a number or a text; null where there is nothing. */
function valueOf(cell) {
  const text = cell?.dataset.sort ?? cell?.querySelector("time")?.dateTime ?? cell?.textContent.trim() ?? "";
  if (text === "" || text === "–") return null;
  if (cell.querySelector("time")) return text;
  return NUMBER.test(text) ? Number.parseFloat(text.replace("\u2212", "-").replaceAll(",", "")) : text;
}

/** What is missing comes last, numbers before texts. */
function compare(one, other, lang) {
  if (one === null || other === null) return (one === null) - (other === null);
  if (typeof one === "number" && typeof other === "number") return one - other;
  if (typeof one !== typeof other) return typeof one === "number" ? -1 : 1;
  return one.localeCompare(other, lang, { numeric: true });
}

function sort(table, at, descending) {
  const { lang } = document.documentElement;
  for (const body of table.tBodies) {
    const rows = [...body.rows].map((row) => ({ row, value: valueOf(row.cells[at]) }));
    rows.sort((a, b) => {
      const turned = descending && a.value !== null && b.value !== null;
      return (turned ? -1 : 1) * compare(a.value, b.value, lang);
    });
    body.append(...rows.map(({ row }) => row));
  }
}

/** Make the heads of `table` buttons. */
function sortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, at) => {
    if ("unsorted" in head.dataset || head.querySelector(".visually-hidden, a")) return;
    const button = Object.assign(document.createElement("button"), { type: "button", className: "sort" });
    button.append(...head.childNodes);
    head.append(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const descending = head.ariaSort === "ascending" || (head.ariaSort === "none" && head.matches(".num"));
      for (const other of heads) if (other.ariaSort) other.ariaSort = "none";
      head.ariaSort = descending ? "descending" : "ascending";
      sort(table, at, descending);
    });
  });
}

for (const table of document.querySelectorAll("table[data-sortable]")) sortable(table);

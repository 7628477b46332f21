"use strict";
// Everything on this page works without this script; it adds sorting, and keeps the matrix in view.
(() => {
  const value = (row, index) => {
    const cell = row.cells[index];
    const text = cell.dataset.v ?? cell.textContent.trim().replace(/[,%]/g, "");
    return text !== "" && Number.isFinite(Number(text)) ? Number(text) : text;
  };
  const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));

  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, index) => {
      if ("fixed" in head.dataset) return;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const rows = [...table.tBodies[0].rows];
        const before = head.getAttribute("aria-sort");
        const isDown = before ? before === "ascending" : rows.some((row) => typeof value(row, index) === "number");
        rows.sort((a, b) => compare(value(a, index), value(b, index)) * (isDown ? -1 : 1));
        table.tBodies[0].append(...rows);
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", isDown ? "descending" : "ascending");
      });
    });
  }

  const mark = () => {
    for (const link of document.querySelectorAll(".confusion a[href*='cell-']")) {
      link.toggleAttribute("aria-current", link.hash === location.hash);
    }
  };
  window.addEventListener("hashchange", mark);
  mark();

  // A chosen cell keeps the matrix where it is when its images already fit beside it.
  document.addEventListener("click", (event) => {
    const link = event.target.closest(".confusion td a[href*='cell-']");
    if (!link) return;
    const { scrollX, scrollY } = window;
    requestAnimationFrame(() => {
      const panel = document.getElementById(link.hash.slice(1));
      window.scrollTo(scrollX, scrollY);
      const box = panel.getBoundingClientRect();
      if (box.top < 0 || box.top > window.innerHeight * 0.7) panel.scrollIntoView({ block: "nearest" });
      panel.focus({ preventScroll: true });
    });
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !location.hash.includes("cell-")) return;
    const link = [...document.querySelectorAll(".confusion a")].find((one) => one.hash === location.hash);
    location.hash = `#${link?.closest(".confusion").id ?? ""}`;
    link?.focus();
  });
})();

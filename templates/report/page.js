"use strict";
for (const file of document.querySelectorAll("pre[data-file]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy";
  button.setAttribute("aria-label", "Copy " + file.dataset.file);
  file.before(button);
  button.addEventListener("click", async () => {
    let done = true;
    try { await navigator.clipboard.writeText(file.textContent); }
    catch { getSelection().selectAllChildren(file); done = document.execCommand("copy"); }
    button.textContent = done ? "Copied" : "Not copied: select the text";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
}
for (const box of document.querySelectorAll(".candidates")) {
  const rows = [...box.querySelectorAll("tbody tr")], marks = [];
  for (const kind of box.querySelectorAll(".dots [data-n]")) kind.dataset.n.split(" ").forEach((n, i) => marks.push([+n, kind.children[i]]));
  const readout = box.querySelector(".readout"), plots = box.querySelector("[data-step]"), filters = box.querySelector(".filters");
  const heads = [...box.querySelectorAll("thead th")].map(head => head.textContent.trim());
  let at = 0;
  const show = n => {
    at = n;
    box.querySelectorAll(".here").forEach(ring => ring.remove());
    for (const [number, mark] of marks) if (number === n) {
      const ring = mark.cloneNode();
      ring.setAttribute("href", "#ring");
      ring.setAttribute("class", "here");
      mark.parentNode.after(ring);
    }
    readout.textContent = [...rows[n].cells].map((cell, i) => (i < 2 ? "" : heads[i] + " ") + cell.textContent.trim().replace(/\s+/g, " ")).join(" · ");
  };
  for (const [n, mark] of marks) mark.addEventListener("pointerenter", () => show(n));
  if (plots) {
    plots.tabIndex = 0;
    plots.addEventListener("keydown", event => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      let n = at;
      do { n = (n + step + rows.length) % rows.length; } while (rows[n].classList.contains("off") && n !== at);
      show(n);
    });
  }
  if (filters) {
    filters.hidden = false;
    filters.addEventListener("click", event => {
      const chosen = event.target.closest("button");
      if (!chosen) return;
      for (const button of filters.children) button.setAttribute("aria-pressed", button === chosen);
      rows.forEach(row => row.classList.toggle("off", !row.cells[0].textContent.startsWith(chosen.dataset.only)));
      marks.forEach(([n, mark]) => mark.classList.toggle("off", rows[n].classList.contains("off")));
    });
  }
}
addEventListener("beforeprint", () => document.querySelectorAll("details:not(.file)").forEach(one => { if (!one.open) { one.open = true; one.dataset.printed = ""; } }));
addEventListener("afterprint", () => document.querySelectorAll("[data-printed]").forEach(one => { one.open = false; delete one.dataset.printed; }));

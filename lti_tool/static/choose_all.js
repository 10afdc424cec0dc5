// A box in the head of a list ticks all boxes of the list; without scripts each is ticked by itself.
"use strict";
for (const master of document.querySelectorAll("input[data-chooses]")) {
  const boxes = () => [...document.querySelectorAll(`input[name="${master.dataset.chooses}"]`)];
  const follow = () => {
    const ticked = boxes().filter((box) => box.checked).length;
    master.checked = ticked > 0 && ticked === boxes().length;
    master.indeterminate = ticked > 0 && !master.checked;
  };
  master.closest("[hidden]").hidden = false;
  master.addEventListener("change", () => boxes().forEach((box) => { box.checked = master.checked; }));
  document.addEventListener("change", (event) => { if (event.target !== master) follow(); });
  follow();
}

// Says so when a button or a field that asks in the background gets no good answer; the page stays as it is, with
// everything that was entered. What only looks whether something is new says nothing: it looks again.
"use strict";

const told = document.getElementById("request-fault");

function tell({ target }) {
  if (!target.matches?.("button, #live")) return;
  forget();
  const box = told.content.firstElementChild.cloneNode(true);
  target.closest("section, fieldset, .actions").append(box);
}

function forget() {
  document.querySelector(".request-fault")?.remove();
}

document.addEventListener("htmx:response:error", tell);
document.addEventListener("htmx:error", tell);
document.addEventListener("htmx:before:request", forget);

// Shows a picture as soon as it is chosen, before it is sent.
"use strict";
const picked = document.getElementById("picture");
const preview = document.getElementById("preview");
picked.addEventListener("change", () => {
  const [file] = picked.files;
  if (!file) return;
  preview.src = URL.createObjectURL(file);
  preview.hidden = false;
});

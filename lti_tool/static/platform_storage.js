// Keeps the secret of a launch with the LMS, or fetches it from there ("LTI Client Side postMessages", "LTI Platform
// Storage"). Some LMSs promise the storage and never answer: then the page stays, and says what else can be done.
"use strict";

const box = document.getElementById("storage");
const { subject, target, origin, key, value } = box.dataset;
const around = window.opener || window.parent;
// Not crypto.randomUUID: it is missing where the LMS around us is not on https.
const id = [...crypto.getRandomValues(new Uint32Array(4))].map((part) => part.toString(16)).join("-");

function platformWindow() {
  try {
    return target === "_parent" ? around : around.frames[target] || around;
  } catch {
    return around;
  }
}

let triesLeft = 40;
function ask() {
  platformWindow().postMessage({ subject, message_id: id, key, ...(value === undefined ? {} : { value }) }, origin);
  if (--triesLeft === 0) clearInterval(timer);
}

window.addEventListener("message", ({ origin: sender, data }) => {
  if (sender !== origin || data?.message_id !== id || data.subject !== `${subject}.response` || data.error) return;
  clearInterval(timer);
  if (subject === "lti.put_data") {
    window.location.replace(box.href);
  } else if (data.key === key && data.value) {
    document.getElementById("value").value = data.value;
    box.submit();
  }
});
// The window that answers may still be loading.
const timer = setInterval(ask, 250);
ask();

// Tells the LMS that its registration window can be closed (LTI Dynamic Registration 1.0 §3.7): when the administrator
// has read the page, not before. Nothing secret is said, so every origin may hear it.
"use strict";

const close = document.getElementById("close");
const around = window.opener || (window.parent === window ? null : window.parent);
if (around) {
  close.hidden = false;
  close.addEventListener("click", () => around.postMessage({ subject: "org.imsglobal.lti.close" }, "*"));
}

"use strict";
window.addEventListener("message", (event) => {
  if (event.data?.subject === "org.imsglobal.lti.close") {
    document.querySelector("iframe").remove();
    document.getElementById("closed").hidden = false;
  }
});

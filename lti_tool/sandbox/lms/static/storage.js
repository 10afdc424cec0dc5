// The platform's side of LTI platform storage: each origin has its own values.
"use strict";
const kept = new Map();
window.addEventListener("message", (event) => {
  const { subject, message_id, key, value } = event.data ?? {};
  if (!["lti.capabilities", "lti.put_data", "lti.get_data"].includes(subject)) return;
  const reply = { subject: `${subject}.response`, message_id };
  if (!message_id || (subject !== "lti.capabilities" && !key)) {
    reply.error = { code: "bad_request", message: "message_id or key is missing" };
  } else if (subject === "lti.capabilities") {
    reply.supported_messages = [{ subject: "lti.put_data" }, { subject: "lti.get_data" }];
  } else {
    const place = `${event.origin} ${key}`;
    if (subject === "lti.put_data") kept.set(place, value);
    Object.assign(reply, { key, value: kept.get(place) });
  }
  event.source.postMessage(reply, event.origin);
});

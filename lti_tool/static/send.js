// Sends the only form of a page by itself; without scripts its button does.
"use strict";

document.getElementById("send").submit();

"use strict";
/* For reports and for the pages of results: a table that is wider than its frame says so, and is moved by the
   arrow keys. */
function markScrolling() {
  for (const frame of document.querySelectorAll(".wide")) {
    const scrolls = frame.scrollWidth > frame.clientWidth + 1;
    frame.classList.toggle("scrolls", scrolls);
    if (scrolls) frame.tabIndex = 0;
    else frame.removeAttribute("tabindex");
  }
}

markScrolling();
addEventListener("resize", markScrolling);

// A wedge scanner types where the focus is: on the list of stock that is the search, until something else is chosen.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const search = document.getElementById("searchbar");
  if (!search) return;
  search.setAttribute("autocomplete", "off");
  if (document.activeElement === document.body && matchMedia("(min-width: 64rem)").matches) {
    search.focus();
    search.select();
  }
});

// Before the first paint: the theme the reader chose, else the system's.
const chosen = localStorage.getItem("headrace-theme");
if (chosen) document.documentElement.dataset.theme = chosen;

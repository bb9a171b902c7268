// @ts-check
// Goes back as the browser's own button does, which keeps what was typed into the page
// before. The link by itself opens that page anew.

document.getElementById("back")?.addEventListener("click", (event) => {
  if (history.length > 1) {
    event.preventDefault();
    history.back();
  }
});

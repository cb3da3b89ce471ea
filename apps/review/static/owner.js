// The owner's page: errors are told in a line, a link is selected to be copied.

document.body.addEventListener("htmx:responseError", (event) => {
  document.querySelector("#status").textContent = event.detail.xhr.responseText;
});
document.body.addEventListener("htmx:beforeRequest", () => (document.querySelector("#status").textContent = ""));
document.addEventListener("focusin", (event) => event.target.matches("[data-copy]") && event.target.select());

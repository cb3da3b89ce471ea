// Light or dark, before anything is painted: the person's own choice, else the system's.
{
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (localStorage.getItem("theme") ?? (system.matches ? "dark" : "light")) === "dark";
  const paint = () => (root.dataset.theme = isDark() ? "dark" : "light");

  paint();
  system.addEventListener("change", paint);
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-theme-switch]")) return;
    localStorage.setItem("theme", isDark() ? "light" : "dark");
    paint();
  });
}

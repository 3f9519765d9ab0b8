// Puts the sections on the page.

function section(id, title, ...content) {
  return h("section", { id, "aria-labelledby": `${id}-title` }, h("h2", { id: `${id}-title` }, title), content);
}

const modules = drawModules();
const sections = [
  ["build", "Build", drawTimeline()],
  ...(data.notices.length ? [["notices", "Notices", drawNotices()]] : []),
  ["size", "Size", drawTreemap((text) => modules.search(text))],
  ["modules", "Modules", modules.node],
  ["config", "Config", drawConfig()],
  ["proofs", "Proofs", drawProofs()],
  ["reproduce", "Reproduce", drawReproduce()],
];

document.getElementById("head").append(...drawHead());
document.getElementById("main").append(
  ...data.gaps.map((gap) => h("p", { class: "note" }, gap)),
  ...sections.map(([id, title, ...content]) => section(id, title, ...content)));
document.getElementById("nav").append(...sections.map(([id, title]) => h("li", null, h("a", { href: `#${id}` }, title))));
document.getElementById("foot").append(`Written by rosk ${data.rosk || ""}`.trim() + ". This file is complete: it loads nothing.");

const seen = new IntersectionObserver((entries) => {
  for (const entry of entries.filter((each) => each.isIntersecting)) {
    for (const link of document.querySelectorAll(".nav a")) {
      const here = link.getAttribute("href") === `#${entry.target.id}`;
      if (here) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
      if (here) document.getElementById("nav").scrollTo({ left: link.offsetLeft - 60 });
    }
  }
}, { rootMargin: "-20% 0px -75% 0px" });
document.querySelectorAll("main > section").forEach((each) => seen.observe(each));

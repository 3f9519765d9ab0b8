// Size by subsystem: a squarified treemap (Bruls, Huizing, van Wijk, 2000), of groups and of what is in them.

/** Rectangles {x, y, w, h, item} for items with a `size`, largest first, in a box; as square as can be. */
function squarify(items, box) {
  const rest = items.filter((item) => item.size > 0).sort((a, b) => b.size - a.size);
  const scale = (box.w * box.h) / sum(rest.map((item) => item.size)) || 0;
  const placed = [];
  let { x, y, w, h: height } = box;
  for (let at = 0; at < rest.length; ) {
    const side = Math.min(w, height);
    let row = [];
    let total = 0;
    let worst = Infinity;
    while (at + row.length < rest.length) {
      const area = rest[at + row.length].size * scale;
      const next = total + area;
      const largest = rest[at].size * scale;
      const ratio = Math.max((side * side * largest) / (next * next), (next * next) / (side * side * area));
      if (ratio > worst) break;
      worst = ratio;
      total = next;
      row = rest.slice(at, at + row.length + 1);
    }
    const thick = side > 0 ? total / side : 0;
    let along = 0;
    for (const item of row) {
      const long = thick > 0 ? (item.size * scale) / thick : 0;
      placed.push(w >= height ? { x, y: y + along, w: thick, h: long, item } : { x: x + along, y, w: long, h: thick, item });
      along += long;
    }
    if (w >= height) { x += thick; w -= thick; } else { y += thick; height -= thick; }
    at += row.length;
  }
  return placed;
}

/** The groups: the subsystems of the modules, the kernel image, and the firmware. */
function mapGroups() {
  const groups = new Map();
  const add = (name, item) => {
    if (!groups.has(name)) groups.set(name, { name, items: [], size: 0 });
    groups.get(name).items.push(item);
    groups.get(name).size += item.size;
  };
  for (const file of data.boot_files) {
    if (/^boot\/vmlinuz-/.test(file.name)) add("kernel image", { name: fileName(file.name), path: file.name, size: file.size, kind: "image" });
  }
  for (const row of data.modules) add(row.subsystem, { name: moduleName(row.path), path: row.path, size: row.size, kind: row.package });
  for (const file of data.firmware.files) {
    if (file.size) add("firmware", { name: file.name, path: file.name, size: file.size, kind: "firmware" });
  }
  return [...groups.values()].sort((a, b) => b.size - a.size);
}

const KINDS = { image: "kernel image", kernel: "kernel package", extras: "extras package", firmware: "firmware" };
const GAP = 1;

function boxed(node, box) {
  node.style.left = `${box.x}px`;
  node.style.top = `${box.y}px`;
  node.style.width = `${Math.max(0, box.w - GAP)}px`;
  node.style.height = `${Math.max(0, box.h - GAP)}px`;
  return node;
}

function drawTreemap(searchModules) {
  const groups = mapGroups();
  if (!groups.length) return [h("p", { class: "note" }, "The packages of this folder could not be read.")];
  const map = h("div", { class: "map", role: "group", "aria-label": "Treemap of sizes" });
  const told = h("output");
  const back = h("button", { type: "button", class: "button", hidden: true, onclick: () => { open = null; draw(); back.hidden = true; } }, "All subsystems");
  let open = null;

  const about = (group) => `${group.name}: ${bytes(group.size)}, ${count(group.items.length, "file")}`;
  const say = (text) => { told.textContent = text; };
  const rest = () => say(open ? about(open) : `${bytes(sum(groups.map((group) => group.size)))} in all. Choose a part to look closer.`);

  function draw() {
    const width = map.clientWidth;
    const height = Math.round(Math.max(340, Math.min(560, width * 0.48)));
    map.style.height = `${height}px`;
    map.replaceChildren(...(open ? inside(open, width, height) : overview(width, height)));
    rest();
  }

  function overview(width, height) {
    return squarify(groups, { x: 0, y: 0, w: width, h: height }).map(({ item: group, ...box }) => {
      const small = box.w < 48 || box.h < 40;
      const top = small ? 0 : 20;
      const tiles = squarify(group.items, { x: 1, y: top, w: box.w - 2 - GAP, h: box.h - top - GAP })
        .filter((tile) => tile.w > 1.5 && tile.h > 1.5).map((tile) => leaf("div", tile));
      const look = h("button", { type: "button", "aria-label": about(group), onclick: () => enter(group) },
        group.name.length * 7 > box.w ? fileName(group.name) : group.name);
      return boxed(h("div", { class: small ? "group small" : "group", onpointerover: () => say(about(group)), onclick: () => enter(group) }, tiles, look), box);
    });
  }

  function inside(group, width, height) {
    return squarify(group.items, { x: 0, y: 0, w: width, h: height }).map((tile) => {
      const { item } = tile;
      const text = `${item.path}: ${bytes(item.size)}, ${KINDS[item.kind]}`;
      const node = leaf("button", tile, true);
      node.setAttribute("aria-label", text);
      node.addEventListener("pointerover", () => say(text));
      node.addEventListener("focus", () => say(text));
      node.addEventListener("click", () => {
        if (item.kind === "firmware") searchModules(`firmware:${item.name}`);
        else if (item.kind !== "image") searchModules(`module:${item.path}`);
      });
      return node;
    });
  }

  function leaf(tag, tile, sized) {
    const room = tile.w > 44 && tile.h > 16;
    return boxed(h(tag, { class: `tile ${tile.item.kind}-tile` }, room && h("span", null, tile.item.name),
      room && sized && tile.h > 34 && h("small", null, bytes(tile.item.size))), tile);
  }

  function enter(group) {
    if (open === group) return;
    open = group;
    back.hidden = false;
    draw();
    back.focus({ preventScroll: true });
  }

  map.addEventListener("pointerleave", rest);
  let seen = 0;
  new ResizeObserver(() => {
    if (map.clientWidth !== seen) { seen = map.clientWidth; draw(); }
  }).observe(map);
  return [
    h("p", null, "Modules are measured as they lie on the disk, the kernel image as it is compressed."),
    h("div", { class: "legend" }, Object.entries(KINDS).map(([kind, label]) => h("span", null, h("i", { class: `${kind}-tile` }), label))),
    h("div", { class: "mapbar" }, back, told), map, subsystemTable(groups),
  ];
}

/** The same as numbers. */
function subsystemTable(groups) {
  const of = (group, kind) => sum(group.items.filter((item) => item.kind === kind).map((item) => item.size));
  const cell = (size) => h("td", { class: "number" }, size ? bytes(size) : "");
  const rows = groups.map((group) => h("tr", null, h("td", null, group.name), h("td", { class: "number" }, group.items.length.toLocaleString("en")),
    cell(of(group, "kernel") + of(group, "image")), cell(of(group, "extras")), cell(group.size)));
  const heads = ["Part", "Files", "Kernel", "Extras", "Size"].map((label, at) => h("th", { scope: "col", class: at > 0 && "number" }, label));
  return h("details", null, h("summary", null, "The same as a table"),
    h("table", { id: "subsystems" }, h("thead", null, h("tr", null, heads)), h("tbody", null, rows)));
}

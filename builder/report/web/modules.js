// The modules with their search.

const MODULE_KEYS = ["module", "package", "option", "needs", "firmware", "license"];

const searchable = (texts) => texts.filter(Boolean).map(folded);

function moduleRows() {
  const neededBy = new Map();
  for (const row of data.modules) {
    for (const path of row.needs || []) neededBy.set(path, [...(neededBy.get(path) || []), row.path]);
  }
  for (const row of data.modules) {
    row.label = moduleName(row.path);
    row.neededBy = neededBy.get(row.path) || [];
    row.fields = {
      module: searchable([row.path]), package: [row.package], option: searchable([row.option && `CONFIG_${row.option}`]),
      needs: searchable((row.needs || []).map(moduleName)), firmware: searchable(row.firmware || []),
      license: searchable([row.license]),
    };
  }
  return data.modules;
}

/** The first of some names, and how many more there are; those that were searched for come first. */
function firstOf(names, words, most) {
  const hit = (name) => words.some((word) => folded(name).includes(word));
  const order = [...names.filter(hit), ...names.filter((name) => !hit(name))];
  const shown = order.slice(0, most).map((name, at) => [at > 0 && ", ", marked(name, words)]);
  return [shown, names.length > most && h("span", { class: "muted" }, ` +${names.length - most}`)];
}

function drawModules() {
  const rows = moduleRows();
  const links = (paths) => h("div", { class: "words" },
    paths.map((path) => h("button", { type: "button", class: "link", onclick: () => table.search(`module:${path}`) }, moduleName(path))));

  const columns = [
    { label: "Module", width: "26%", bare: true, by: (row) => fileName(row.path), cell: (row, words) => [
      h("button", { type: "button", class: "plain opens", "aria-expanded": "false" }, marked(row.label, words)),
      h("span", { class: "under" }, marked(folderOf(row.path), words))] },
    { label: "Package", width: "10%", by: (row) => row.package, cell: (row, words) => h("span", { class: `pill ${row.package}` }, marked(row.package, words)) },
    { label: "Config option", width: "24%", by: (row) => row.option || "", cell: (row, words) => row.option && h("code", null, marked(`CONFIG_${row.option}`, words)) },
    { label: "Size", width: "10%", number: true, by: (row) => row.size, cell: (row) => bytes(row.size) },
    { label: "Needs", width: "17%", by: (row) => (row.needs || []).length, cell: (row, words) => row.needs && firstOf(row.needs.map(moduleName), words, 3) },
    { label: "Firmware", width: "13%", by: (row) => (row.firmware || []).length, cell: (row, words) => row.firmware && [
      firstOf(row.firmware, words, 1), row.missing && h("span", { class: "pill warn" }, `${row.missing.length} not shipped`)] },
  ];

  function detail(row) {
    const missing = new Set(row.missing);
    const listed = { true: "a line of the package's list", false: "a dependency, a policy, or its place outside of kernel/" };
    return pairs([
      ["File", `${row.path}, ${row.size.toLocaleString("en")} bytes`],
      ["In the package by", row.listed === undefined ? "" : listed[row.listed]],
      ["Licence", row.license],
      ["Needs", row.needs && links(row.needs)],
      ["Needed by", row.neededBy.length ? links(row.neededBy) : ""],
      ["Soft dependencies", (row.softdeps || []).join(", ")],
      ["Firmware", (row.firmware || []).map((name) => h("div", null, h("code", null, name), " ",
        missing.has(name) ? h("span", { class: "pill warn" }, "not shipped") : h("span", { class: "pill good" }, "shipped")))],
      ["Boot test", row.boot],
    ]);
  }

  const table = searchTable({
    name: "modules", noun: ["module", "modules"], caption: "Modules", keys: MODULE_KEYS, rows, columns, detail,
    placeholder: "btrfs, iwlwifi, needs:mii, size>1MB",
    chips: [
      ["All", () => true], ["Kernel package", (row) => row.package === "kernel"], ["Extras package", (row) => row.package === "extras"],
      ["Ask for firmware", (row) => row.firmware !== undefined], ["Firmware not shipped", (row) => row.missing !== undefined],
    ],
    summary: (found) => `${count(found.length, "module")}, ${bytes(sum(found.map((row) => row.size)))}`,
    help: ["A search finds what has all of its words. To look in one field, write ",
      MODULE_KEYS.map((key, at) => [at > 0 && " ", command(`${key}:`)]), " before a word; ", command("size>100k"), " compares."],
  });
  return table;
}

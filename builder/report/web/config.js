// The config against what was asked for, and against defaults where they are known.

const STATES = {
  changed: ["not as asked", "warn", "Not as asked"],
  asked: ["as asked", "good", "As asked"],
  derived: ["by kconfig", "dim", "By kconfig"],
};
const STATE_ORDER = ["changed", "asked", "derived", undefined];

function drawConfig() {
  const { options, asked, defaults, form } = data.config;
  if (!options.length) return [h("p", { class: "note" }, "This folder has no kernel/config.")];
  const rows = options.slice().sort((a, b) => STATE_ORDER.indexOf(a.state) - STATE_ORDER.indexOf(b.state) || (a.name < b.name ? -1 : 1));
  for (const row of rows) {
    row.label = row.name;
    row.fields = { option: searchable([`CONFIG_${row.name}`]), value: searchable([row.value]), from: searchable([row.where]) };
  }
  const value = (text, words) => (text === undefined ? "" : h("code", { class: text === "n" && "muted" }, words ? marked(text, words) : text));
  const stateOf = (row) => row.state && [h("span", { class: `pill ${STATES[row.state][1]}` }, STATES[row.state][0]),
    row.state === "changed" && row.asked !== undefined && [" asked for ", value(row.asked)]];
  const columns = [
    { label: "Option", width: "36%", bare: true, by: (row) => row.name, cell: (row, words) => h("code", null, marked(`CONFIG_${row.name}`, words)) },
    { label: "Value", width: "14%", by: (row) => row.value, cell: (row, words) => value(row.value, words) },
    defaults && { label: "Default", width: "12%", by: (row) => row.default || "", cell: (row) => value(row.default) },
    { label: "State", width: "18%", by: (row) => STATE_ORDER.indexOf(row.state), cell: stateOf },
    asked && { label: "From", by: (row) => row.where || "", cell: (row, words) => row.where && h("span", { class: "muted" }, marked(row.where, words)) },
  ].filter(Boolean);
  const states = asked ? ["changed", "asked", "derived"] : ["changed"];
  const table = searchTable({
    name: "config", noun: ["option", "options"], caption: "Options of the config", keys: ["option", "value", "from"], rows, columns,
    placeholder: "EXT4, value:m, option:_DEBUG",
    chips: [
      ["All", () => true], ["On", (row) => row.value !== "n"],
      ...states.map((state) => [STATES[state][2], (row) => row.state === state]),
      ...(defaults ? [["Not the default", (row) => row.default !== undefined]] : []),
    ],
    summary: (found) => count(found.length, "option"), help: null,
  });
  const lead = [
    form === "minimal" && "The project's config is minimal: kconfig completed it. ",
    form === "full" && "The project's config is a whole one. ",
    asked ? "Each option is shown with what the project asked for. " : "What the project asked for is not recorded here. ",
    defaults && ["A default is shown where it is another value; it is what ", command(defaults), " gives."],
  ];
  return [h("p", null, lead), table.node];
}

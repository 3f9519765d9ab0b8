// The stages on a time line.

const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200];

const spent = (stage) => sum((stage.busy || []).map(([start, end]) => end - start));

/** The seconds at which the axis has a mark. */
function ticks(end, room) {
  const step = STEPS.find((each) => end / each <= room) || 86400;
  return Array.from({ length: Math.floor(end / step) + 1 }, (_, at) => at * step);
}

function place(node, start, end, whole) {
  node.style.left = `${(100 * start) / whole}%`;
  if (end !== null) node.style.width = `${(100 * (end - start)) / whole}%`;
  return node;
}

function timelineRow(stage, whole, marks) {
  const busy = stage.busy || [];
  const lines = marks.map((mark) => place(h("b"), mark, null, whole));
  const waits = busy.length > 1 ? [place(h("i", { class: "waiting" }), stage.started, stage.ended, whole)] : [];
  const bars = busy.map(([start, end]) => place(h("i"), start, end, whole));
  const time = stage.state === "cached" ? h("span", { class: "pill dim" }, "cached") : duration(spent(stage));
  const when = busy.length ? `from ${duration(stage.started)} to ${duration(stage.ended)}` : "";
  const kind = `${stage.state}${stage.name === "export" ? " export" : ""}`;
  const words = stage.state === "failed" || stage.state === "stopped" ? h("span", { class: "bad-text" }, ` ${stage.state}`) : null;
  return h("li", { class: kind, title: `${stage.title}: ${stage.state} ${when}`.trim() },
    h("span", { class: "label" }, stage.title, words),
    h("span", { class: "track", "aria-hidden": "true" }, lines, waits, bars),
    h("span", { class: "spent" }, time, when && h("span", { class: "visually-hidden" }, `, ${when}`)));
}

function drawTimeline() {
  const { stages } = data;
  if (!stages.length) {
    return [h("p", { class: "note" }, "When the stages ran is not recorded in this folder: ", command("rosk build"), " leaves it in build.json.")];
  }
  const whole = Math.max(...stages.map((stage) => stage.ended || 0), 0.001);
  const ran = stages.filter((stage) => stage.state === "ran" && stage.name !== "export").length;
  const cached = stages.filter((stage) => stage.state === "cached").length;
  const marks = ticks(whole, window.innerWidth < 700 ? 4 : 9);
  const axis = h("li", { class: "axis", "aria-hidden": "true" }, h("span"),
    h("span", { class: "track" }, marks.map((mark, at) =>
      place(h("span", { class: at === 0 && "first" }, at === 0 ? "0" : duration(mark).replace(/(\d)\.0s/, "$1s").replace(/m00s|h00m/, (end) => end[0])), mark, null, whole))),
    h("span"));
  const lead = `${count(ran, "stage")} ran and ${cached} came from the cache, in ${duration(whole)} from the first step to the last. `
    + "A thin line is a stage that waited for another.";
  return [h("p", null, lead), h("ol", { class: "timeline" }, axis, stages.map((stage) => timelineRow(stage, whole, marks))), compiled()];
}

/** What the compile did, where it ran. */
function compiled() {
  const { objects, compiler_cache: cache = {}, object_tree: said = [] } = data.compiled;
  if (objects === undefined) return null;
  const hits = (cache.direct_cache_hit || 0) + (cache.preprocessed_cache_hit || 0);
  const calls = cache.calls ? `${hits.toLocaleString("en")} of ${count(cache.calls, "call")} answered` : "not asked";
  return pairs([
    ["Compiled", count(objects, "object")], ["Compiler cache", calls],
    ["Object tree", said.map((line) => h("div", null, line))],
  ]);
}

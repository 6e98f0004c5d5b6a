// What is wrong with the page for those who use a keyboard, a screen reader, or see little. Returns sentences.
const problems = [];
const visible = (element) => element.checkVisibility({ checkOpacity: false, checkVisibilityCSS: true }) && element.getClientRects().length > 0;
const show = (element) => element.outerHTML.slice(0, 120);

function nameOf(element) {
  const texts = (ids) => ids.split(" ").map((id) => document.getElementById(id)?.textContent ?? "").join(" ");
  const named = element.getAttribute("aria-label") ?? (element.hasAttribute("aria-labelledby") ? texts(element.getAttribute("aria-labelledby")) : "");
  const labels = [...(element.labels ?? [])].map((label) => label.textContent).join(" ");
  const own = element.matches("select") ? "" : element.textContent;
  return (named || labels || own || element.getAttribute("alt") || "").trim();
}

for (const element of document.querySelectorAll("a[href], button, input, select, textarea, summary, [role=img], [role=menu], [role=tablist], dialog")) {
  if (visible(element) && nameOf(element) === "") problems.push(`no name: ${show(element)}`);
}
for (const image of document.querySelectorAll("img")) {
  if (!image.hasAttribute("alt")) problems.push(`no alt: ${show(image)}`);
}
const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
for (const id of ids.filter((id, at) => ids.indexOf(id) !== at)) problems.push(`two elements have the id ${id}`);
for (const attribute of ["aria-describedby", "aria-labelledby", "aria-controls"]) {
  for (const element of document.querySelectorAll(`[${attribute}]`)) {
    for (const id of element.getAttribute(attribute).split(" ")) {
      if (!document.getElementById(id)) problems.push(`${attribute} leads nowhere: ${show(element)}`);
    }
  }
}
if (!document.documentElement.lang) problems.push("the page has no language");
if (document.title.trim() === "") problems.push("the page has no title");
if ([...document.querySelectorAll("h1")].filter(visible).length !== 1) problems.push("there is not one h1");
let level = 1;
for (const heading of [...document.querySelectorAll("main h1, main h2, main h3")].filter(visible)) {
  const next = Number(heading.tagName[1]);
  if (next > level + 1) problems.push(`a heading is passed over before ${show(heading)}`);
  level = next;
}
if (document.querySelectorAll("main").length !== 1) problems.push("there is not one main part");
for (const table of document.querySelectorAll("thead th")) {
  if (visible(table) && table.textContent.trim() === "") problems.push(`a column has no name: ${show(table)}`);
}

const rgb = (text) => {
  const [r, g, b, a = 1] = text.match(/[\d.]+/g).map(Number);
  return [r, g, b, a];
};
const light = ([r, g, b]) => {
  const [x, y, z] = [r, g, b].map((value) => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  return 0.2126 * x + 0.7152 * y + 0.0722 * z;
};
const paperOf = (element) => {
  for (let at = element; at; at = at.parentElement) {
    const colour = rgb(getComputedStyle(at).backgroundColor);
    if (colour[3] === 1) return colour;
  }
  return [255, 255, 255];
};
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement;
  if (walker.currentNode.textContent.trim() === "" || !visible(element) || element.closest("svg, :disabled, option")) continue;
  const [one, other] = [light(rgb(getComputedStyle(element).color)), light(paperOf(element))];
  const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
  if (contrast < 4.5) problems.push(`contrast ${contrast.toFixed(2)}: ${show(element)}`);
}
for (const text of document.querySelectorAll("svg text")) {
  const [one, other] = [light(rgb(getComputedStyle(text).fill)), light(paperOf(text))];
  const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
  if (contrast < 4.5) problems.push(`contrast ${contrast.toFixed(2)}: ${show(text)}`);
}
const wide = document.documentElement.scrollWidth - innerWidth;
if (wide > 0) problems.push(`the page is ${wide} px too wide`);
return problems;

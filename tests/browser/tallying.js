// What the server counted and what the feed tells are added up without gaps or doubles, in whatever order they come. Returns
// how many are counted after each.
const { Tally } = await import("/web/tally.js");
const minute = 60_000;
const now = Math.floor(Date.now() / minute) * minute;
const tally = new Tally();
const settled = { status: "succeeded", code: "scaled", message: "" };
const seen = (sequence, place, outcome = settled) => tally.see({ id: `t${sequence}`, sequence, receiverId: "r", acceptedAt: new Date(now).toISOString(), outcome }, `${place}-9-9`);
const counted = (through, count) => tally.take({ since: new Date(now - 59 * minute).toISOString(), through, data: [{ receiverId: "r", minutes: [...new Array(59).fill(0), count], newest: { id: "t1", sequence: 1, ...settled } }] });
return [
  ["what waits is not counted", () => seen(5, 7, null), 0],
  ["what is settled is", () => seen(5, 10), 1],
  ["and the next", () => seen(6, 11), 2],
  ["the server has all but that one", () => counted(10, 5), 6],
  ["a worker that is behind changes nothing", () => counted(9, 4), 6],
  ["what the server has is told late", () => seen(7, 10), 6],
  ["the server has more", () => counted(12, 8), 8],
  ["in the midst of a record that the server has", () => seen(8, "12.3"), 8],
  ["beyond it", () => seen(9, 13), 9],
]
  .map(([what, happen, expected]) => (happen(), [what, tally.minutes("r").reduce((sum, count) => sum + count, 0), expected]))
  .concat([["the newest", tally.newest("r").id, "t9"]])
  .filter(([, found, expected]) => found !== expected);

// Folds a made-up storm bit by bit, as its triggers come and are settled, and all of it at once, one trigger after the
// other. Returns where both differ.
const { Folds } = await import("/web/folds.js");

/** The rows by the rule alone: whoever comes within five seconds of the one before of its kind, joins it. */
function plainly(newestFirst) {
  const [open, all] = [new Map(), []];
  for (const trigger of newestFirst) {
    const kind = `${trigger.receiverId} ${trigger.outcome?.code ?? "pending"}`;
    const run = open.get(kind);
    if (run && Date.parse(run.at(-1).acceptedAt) - Date.parse(trigger.acceptedAt) <= 5_000) run.push(trigger);
    else {
      open.set(kind, [trigger]);
      all.push(open.get(kind));
    }
  }
  const rows = all.flatMap((run) => (run.length >= 4 ? [run] : run.map((one) => [one])));
  return rows.sort((one, two) => two[0].sequence - one[0].sequence).map((run) => run.map((one) => one.sequence).join());
}

let seed = arguments[0];
const random = (below) => {
  seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
  return Math.floor((seed / 2_147_483_648) * below);
};
const triggers = new Map();
const fits = (trigger) => trigger.receiverId !== "hidden";
const folds = new Folds((sequence) => triggers.get(sequence), fits);
const problems = [];
let [sequence, at, looks, joined] = [0, Date.parse("2026-11-23T21:00:00Z"), 0, 0];
for (let step = 0; step < 6_000; step += 1) {
  if (random(2) === 0) {
    sequence += 1 + random(3);
    at += random(1_000) === 0 ? 6_000 : random(400);
    triggers.set(sequence, { sequence, receiverId: ["a", "b", "hidden"][random(3)], acceptedAt: new Date(at).toISOString(), outcome: null });
    folds.touch(sequence);
  } else {
    const all = [...triggers.keys()];
    const some = all[Math.floor(all.length * (random(100) / 100))];
    if (some === undefined) continue;
    if (random(20) === 0) triggers.delete(some);
    else triggers.set(some, { ...triggers.get(some), outcome: { status: "succeeded", code: ["scaled", "aboveMax"][random(2)] } });
    folds.touch(some);
  }
  if (random(40) > 0) continue;
  looks += 1;
  const newestFirst = [...triggers.values()].filter(fits).sort((one, two) => two.sequence - one.sequence);
  const { rows, statuses } = folds.read();
  const found = rows.map((row) => row.parts.flat().map((one) => one.sequence).join());
  const expected = plainly(newestFirst);
  joined += rows.filter((row) => row.count >= 4 && row.parts.length > 1).length;
  if (found.join(";") !== expected.join(";")) problems.push(`step ${step}: ${found.length} rows, not ${expected.length}`);
  if (rows.some((row) => row.count !== row.parts.flat().length || row.newest !== row.parts[0][0] || row.oldest !== row.parts.at(-1).at(-1))) problems.push(`step ${step}: a row's ends`);
  const pending = newestFirst.filter((one) => !one.outcome).length;
  if (statuses.pending !== pending || statuses.succeeded !== newestFirst.length - pending) problems.push(`step ${step}: statuses`);
}
if (looks < 50 || joined < 50) problems.push(`${looks} looks, ${joined} storms over several stretches: too few to tell anything`);
return problems;

// @ts-check
// Reads server-sent events (WHATWG HTML, 9.2) from an answer's body, in slices. A browser's own EventSource tells all that a
// storm has piled up in one go, and nothing else happens meanwhile; here the page has its turn after every slice, and what
// was not read yet waits with the server.

/** How long the page is kept from other things at once, in milliseconds. */
const SLICE = 12;

/**
 * The events as they come. One without a kind tells its id alone.
 * @param {ReadableStream<Uint8Array>} body
 * @returns {AsyncGenerator<{kind: string, id: string, data: string}, void>}
 */
export async function* eventsIn(body) {
  const reader = body.pipeThrough(/** @type {any} */ (new TextDecoderStream())).getReader();
  let rest = "";
  let began = performance.now();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop() ?? "";
    for (const block of blocks) {
      yield parsed(block);
      if (performance.now() - began > SLICE) {
        await pause();
        began = performance.now();
      }
    }
  }
}

/** @param {string} block */
function parsed(block) {
  const event = { kind: "", id: "", data: "" };
  for (const line of block.split("\n")) {
    if (line.startsWith("id: ")) event.id = line.slice(4);
    else if (line.startsWith("event: ")) event.kind = line.slice(7);
    else if (line.startsWith("data: ")) event.data = line.slice(6);
  }
  return event;
}

/** Lets the page do what it has to do. */
function pause() {
  const { scheduler } = /** @type {any} */ (globalThis);
  return scheduler?.yield ? scheduler.yield() : new Promise((done) => setTimeout(done));
}

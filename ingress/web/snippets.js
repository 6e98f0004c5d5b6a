// @ts-check
// How others call a receiver: ready pieces of configuration.

import { configOf } from "./words.js";

/** @typedef {import("./words.js").Receiver} Receiver */

/**
 * @param {Receiver} receiver
 * @returns {{name: string, where: string, text: string}[]}
 */
export function snippets(receiver) {
  const url = receiver.url ?? "";
  const body = sampleBody(receiver);
  const data = body ? ` \\\n  -H 'Content-Type: application/json' \\\n  -d '${body.replace(/\n\s*/g, " ").replaceAll("'", "'\\''")}'` : "";
  const curl = { name: "curl", where: "Paste it into a terminal.", text: `curl -X POST '${url}'${data}` };
  const github = {
    name: "GitHub Actions",
    where: `Store the URL as the secret STORMHOOK_URL (Settings → Secrets and variables → Actions): ${url}`,
    text: `      - name: Trigger ${receiver.name.replace(/[\n:#]/g, " ")}\n        run: curl --fail-with-body --retry 5 -X POST -H "Idempotency-Key: \${{ github.run_id }}" "$STORMHOOK_URL"\n        env:\n          STORMHOOK_URL: \${{ secrets.STORMHOOK_URL }}`,
  };
  if (receiver.driver === "serviceUpgrade") {
    const registry = { name: "Docker Hub", where: "In the repository: Webhooks → New webhook → Webhook URL.", text: url };
    return [curl, registry, github];
  }
  const alertmanager = {
    name: "Alertmanager",
    where: "Among the receivers of alertmanager.yml; a route must lead to it.",
    text: `receivers:\n  - name: ${JSON.stringify(receiver.name)}\n    webhook_configs:\n      - url: ${JSON.stringify(url)}\n        send_resolved: ${receiver.onResolved !== "skip"}`,
  };
  return [curl, alertmanager, github];
}

/**
 * A body that the receiver acts upon.
 * @param {Receiver} receiver
 */
export function sampleBody(receiver) {
  const config = configOf(receiver);
  const show = (/** @type {unknown} */ value) => JSON.stringify(value, null, 2);
  if (receiver.driver === "forwardPost") return show({ hello: "world" });
  if (receiver.driver !== "serviceUpgrade") return "";
  const image = config.image ?? "example/web";
  switch (config.payloadFormat) {
    case "dockerhub":
      return show({ push_data: { tag: config.tag }, repository: { repo_name: image } });
    case "generic":
      return show({ image, tag: config.tag });
    default:
      return "";
  }
}

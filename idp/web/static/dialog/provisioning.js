// @ts-check
// The hub's side of provisioning: an unseen frame with the identity provider's
// page, and jschannel messages (scope vep_prov, JSON texts) with it. Source and
// origin of every message are checked, and nothing is heard after the end.

import { Failure } from "./failure.js";

const SCOPE = "vep_prov::";
const TIMEOUT_MS = 20000; // from the frame's load
const LOAD_MS = 30000;

/** The provider's page said that there will be no certificate, and why. */
export class Refused extends Error {}

/** @param {unknown} data @returns {any} */
function parse(data) {
  try {
    return (typeof data === "string" && JSON.parse(data)) || {};
  } catch {
    return {};
  }
}

/**
 * Has a key certified by the provisioning page of an identity provider.
 * @param {{page: string, email: string, duration: number, publicKey: () => Promise<string>}} request
 *   page is its URL, duration in seconds, publicKey gives JSON text
 * @returns {Promise<string>} the certificate, unchecked
 */
export function provision({ page, email, duration, publicKey }) {
  return new Promise((resolve, reject) => {
    const { origin, host } = new URL(page);
    const frame = document.createElement("iframe");
    frame.hidden = true;
    frame.title = "provisioning";
    frame.src = page;
    let ready = false;
    let ended = false;
    /** @type {ReturnType<typeof setTimeout>} */
    let deadline;

    /** @param {object} message */
    const post = (message) => frame.contentWindow?.postMessage(JSON.stringify(message), origin);

    /** @param {() => void} settle */
    const end = (settle) => {
      if (ended) return;
      ended = true;
      window.removeEventListener("message", receive);
      clearTimeout(deadline);
      frame.remove();
      settle();
    };
    const timedOut = () => end(() => reject(new Failure("timeout", { email, issuer: host })));

    /** @type {Record<string, (message: any) => unknown>} */
    const methods = {
      __ready({ params }) {
        if (ready) return;
        ready = true;
        if (params === "ping") post({ method: SCOPE + "__ready", params: "pong" });
      },
      beginProvisioning({ id }) {
        post({ id, result: { email, cert_duration_s: duration } });
      },
      async genKeyPair({ id }) {
        try {
          post({ id, result: await publicKey() });
        } catch (error) {
          end(() => reject(error));
        }
      },
      registerCertificate({ params }) {
        end(() => resolve(String(params)));
      },
      raiseProvisioningFailure({ params }) {
        end(() => reject(new Refused(String(params).slice(0, 300))));
      },
    };

    /** @param {MessageEvent} event */
    function receive(event) {
      if (ended || event.source !== frame.contentWindow || event.origin !== origin) return;
      const message = parse(event.data);
      const name = String(message.method);
      if (!name.startsWith(SCOPE)) return;
      const method = name.slice(SCOPE.length);
      if (Object.hasOwn(methods, method)) methods[method](message);
    }

    window.addEventListener("message", receive);
    deadline = setTimeout(timedOut, LOAD_MS);
    frame.addEventListener("load", () => {
      clearTimeout(deadline);
      if (!ended) deadline = setTimeout(timedOut, TIMEOUT_MS);
      post({ method: SCOPE + "__ready", params: "ping" });
    }, { once: true });
    document.body.append(frame);
  });
}

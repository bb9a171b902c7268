// @ts-check
// The dialog's side of provisioning, as the historic hub did it: jschannel
// messages (scope vep_prov) as JSON strings, a key pair of the browser, the
// trip to the authentication page and back.

const { authentication, provisioning, audience, duration, stubborn, patience } = /** @type {Record<string, string>} */ (
  document.body.dataset
);
const scope = "vep_prov::";

/** @param {string} id @param {string} text */
function show(id, text) {
  /** @type {HTMLElement} */ (document.getElementById(id)).textContent = text;
}

/** @param {ArrayBuffer | Uint8Array} bytes */
function base64url(bytes) {
  const text = String.fromCharCode(...new Uint8Array(bytes));
  return btoa(text).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}

/** @param {string} text base64url @returns {string} decimal */
function decimal(text) {
  const bytes = atob(text.replace(/-/g, "+").replace(/_/g, "/"));
  let hex = "0x0";
  for (const c of bytes) hex += c.charCodeAt(0).toString(16).padStart(2, "0");
  return BigInt(hex).toString();
}

const RSA = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };

/** @returns {Promise<CryptoKeyPair>} */
function generate() {
  const parameters = { ...RSA, modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]) };
  return crypto.subtle.generateKey(parameters, false, ["sign", "verify"]);
}

/** @param {CryptoKey} key */
async function classic(key) {
  const { n, e } = await crypto.subtle.exportKey("jwk", key);
  return JSON.stringify({ algorithm: "RS", n: decimal(String(n)), e: decimal(String(e)) });
}

/** @param {CryptoKey} key */
async function assertion(key) {
  const encoder = new TextEncoder();
  const header = base64url(encoder.encode(JSON.stringify({ alg: "RS256" })));
  const payload = base64url(encoder.encode(JSON.stringify({ exp: Date.now() + 120000, aud: audience })));
  const signature = await crypto.subtle.sign(RSA, key, encoder.encode(header + "." + payload));
  return header + "." + payload + "." + base64url(signature);
}

/**
 * Frames the provisioning page and answers it until it registers a
 * certificate, raises a failure or keeps silent.
 * @param {string} email
 * @returns {Promise<string>} the bundle
 */
function provision(email) {
  return new Promise((resolve, reject) => {
    const origin = new URL(provisioning).origin;
    const frame = document.createElement("iframe");
    frame.style.display = "none";
    frame.src = provisioning;
    /** @type {CryptoKeyPair} */
    let keys;
    let ready = false;

    /** @param {object} message */
    const post = (message) => frame.contentWindow?.postMessage(JSON.stringify(message), origin);
    const end = () => {
      window.removeEventListener("message", receive);
      frame.remove();
    };
    /** @param {string} reason */
    const fail = (reason) => {
      end();
      reject(new Error(reason));
    };

    /** @type {Record<string, (message: any) => unknown>} */
    const methods = {
      __ready({ params }) {
        if (ready) return;
        ready = true;
        if (params === "ping") post({ method: scope + "__ready", params: "pong" });
      },
      beginProvisioning({ id }) {
        post({ id, result: { email, cert_duration_s: Number(duration) } });
      },
      async genKeyPair({ id }) {
        keys = await generate();
        post({ id, result: await classic(keys.publicKey) });
      },
      async registerCertificate({ params }) {
        end();
        resolve(params + "~" + (await assertion(keys.privateKey)));
      },
      raiseProvisioningFailure({ params }) {
        fail(params);
      },
    };

    /** @param {MessageEvent} event */
    function receive(event) {
      if (event.source !== frame.contentWindow || event.origin !== origin) return;
      const message = JSON.parse(event.data);
      const name = String(message.method).replace(scope, "");
      methods[name]?.(message);
    }

    window.addEventListener("message", receive);
    frame.addEventListener("load", () => setTimeout(() => fail("provisioning timed out"), Number(patience)));
    document.body.append(frame);
    post({ method: scope + "__ready", params: "ping" });
  });
}

/** @param {boolean} returned whether the authentication page sent us back */
async function run(returned) {
  const email = String(sessionStorage.getItem("email"));
  const attempts = Number(sessionStorage.getItem("attempts")) + 1;
  sessionStorage.setItem("attempts", String(attempts));
  show("attempts", String(attempts));
  show("status", "provisioning");
  try {
    show("bundle", await provision(email));
    show("status", "certified");
  } catch (error) {
    const reason = /** @type {Error} */ (error).message;
    show("reason", reason);
    if (!returned || stubborn === "true") {
      // Kept for the test: the page itself is gone in a moment.
      sessionStorage.setItem("reason", reason);
      window.location.assign(authentication + "?email=" + encodeURIComponent(email));
      return;
    }
    show("status", "failed");
  }
}

document.getElementById("go")?.addEventListener("click", () => {
  sessionStorage.clear();
  sessionStorage.setItem("email", /** @type {HTMLInputElement} */ (document.getElementById("email")).value);
  run(false);
});

// The longer one first: it begins like the other.
if (window.location.search.startsWith("?AUTH_RETURN_CANCEL")) show("status", "cancelled");
else if (window.location.search.startsWith("?AUTH_RETURN")) run(true);
else show("status", "waiting");

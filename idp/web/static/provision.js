// @ts-check
// The module of the provisioning page. The page is not seen: whatever goes
// wrong travels to the hub by raiseProvisioningFailure.

/** The words by which hubs have always recognised that the person has to sign in. */
const NOT_AUTHENTICATED = "user is not authenticated as target user";
const DEADLINE_MS = 15000; // below the 20 s that hubs wait

const id = /** @type {any} */ (window.navigator).id;

/** A failure whose message is the reason that the hub gets. */
class Refusal extends Error {}

/**
 * @param {string} url
 * @param {RequestInit} [options]
 * @returns {Promise<any>}
 */
async function getJSON(url, options) {
  let response;
  let answer;
  try {
    response = await fetch(url, {
      credentials: "same-origin",
      redirect: "error",
      cache: "no-store",
      signal: AbortSignal.timeout(DEADLINE_MS),
      ...options,
    });
    answer = await response.json();
  } catch {
    throw new Refusal("the identity provider could not be reached");
  }
  if (response.ok) return answer;
  if (answer.error === "not_signed_in" || answer.error === "not_your_address") throw new Refusal(NOT_AUTHENTICATED);
  throw new Refusal(String(answer.message || "the identity provider refused"));
}

/** @param {string} email */
async function demandSignedIn(email) {
  const session = await getJSON("/persona/api/session");
  if (!session.signed_in) throw new Refusal(NOT_AUTHENTICATED);
  if (!session.directory_available) throw new Refusal("the directory cannot be reached at the moment");
  const wanted = String(email).toLowerCase();
  if (!session.addresses.includes(wanted)) throw new Refusal(NOT_AUTHENTICATED);
}

/**
 * @param {string} email
 * @param {string} publicKey
 * @param {unknown} duration seconds
 * @returns {Promise<string>}
 */
async function certify(email, publicKey, duration) {
  const request = { email, public_key: publicKey, duration };
  const answer = await getJSON("/persona/api/certificate", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(request),
  });
  return answer.certificate;
}

/** @param {unknown} error */
function fail(error) {
  id.raiseProvisioningFailure(error instanceof Refusal ? error.message : "the provisioning page failed");
}

/** @param {string} email @param {unknown} duration seconds */
async function provision(email, duration) {
  await demandSignedIn(email);
  id.genKeyPair((/** @type {string} */ publicKey) => {
    certify(email, publicKey, duration).then(id.registerCertificate, fail);
  });
}

id.beginProvisioning((/** @type {string} */ email, /** @type {unknown} */ duration) => {
  provision(email, duration).catch(fail);
});

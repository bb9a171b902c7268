// @ts-check
// A few values by name in IndexedDB. Where it is blocked, broken or silent
// there is simply nothing kept.

const PATIENCE_MS = 2000;

/** @param {IDBRequest} request @returns {Promise<any>} */
function settled(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
    setTimeout(() => reject(new Error("IndexedDB is silent")), PATIENCE_MS);
  });
}

/** @returns {Promise<IDBDatabase>} */
function open() {
  const request = indexedDB.open("persona", 1);
  request.onupgradeneeded = () => request.result.createObjectStore("keys");
  return settled(request);
}

/**
 * @param {IDBTransactionMode} mode
 * @param {(values: IDBObjectStore) => IDBRequest} action
 * @returns {Promise<any>} undefined where there is no database
 */
async function run(mode, action) {
  try {
    const database = await open();
    try {
      return await settled(action(database.transaction("keys", mode).objectStore("keys")));
    } finally {
      database.close();
    }
  } catch {
    return undefined;
  }
}

/** @param {string} name @returns {Promise<unknown>} */
export const load = (name) => run("readonly", (values) => values.get(name));

/** @param {string} name @param {unknown} value */
export const store = (name, value) => run("readwrite", (values) => values.put(value, name));

/** @param {string} name */
export const remove = (name) => run("readwrite", (values) => values.delete(name));

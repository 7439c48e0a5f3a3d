// The browser's own database (IndexedDB), written through to the disk: its records outlive a reload, a crash and a killed browser.

/**
 * Open a database with one store of records that have these key fields; resolves to null if the browser forbids it.
 *
 * @param {string} name
 * @param {string} store
 * @param {string[]} keyPath
 * @param {IDBFactory} [factory]
 * @returns {Promise<IDBDatabase | null>}
 */
export function openDatabase(name, store, keyPath, factory = globalThis.indexedDB) {
  return new Promise((resolve) => {
    try {
      const request = factory.open(name, 1);
      request.onupgradeneeded = () => request.result.createObjectStore(store, { keyPath });
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => resolve(null);
    } catch {
      resolve(null);
    }
  });
}

/**
 * Make changes in one transaction, `change(store)`, and resolve when they are on the disk; rejects where there is no room.
 *
 * The commit does not wait for the requests' answers: a closing page would lose them.
 *
 * @param {IDBDatabase} database
 * @param {string} store
 * @param {(store: IDBObjectStore) => void} change
 */
export async function write(database, store, change) {
  const transaction = database.transaction(store, "readwrite", { durability: "strict" });
  const ended = new Promise((resolve, reject) => {
    transaction.oncomplete = resolve;
    transaction.onabort = () => reject(transaction.error);
  });
  change(transaction.objectStore(store));
  transaction.commit();
  await ended;
}

/** Return all records of a store. @param {IDBDatabase} database @param {string} store @returns {Promise<any[]>} */
export function readAll(database, store) {
  return new Promise((resolve, reject) => {
    const request = database.transaction(store).objectStore(store).getAll();
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

// A vector index small enough to read: one line of JSON for each version of a document, all of it in memory.
// It stands where a search service would; what matters here is that putting a document twice changes nothing.
import fs from 'node:fs';

export class FileIndex {
    #documents = new Map();
    #file;

    constructor(path) {
        const text = fs.existsSync(path) ? fs.readFileSync(path, 'utf8') : '';
        // A crash may have cut the last line; its message was not completed and comes again.
        const whole = text.slice(0, text.lastIndexOf('\n') + 1);
        for (const line of whole.split('\n').filter(Boolean)) this.#remember(JSON.parse(line));
        this.#file = fs.openSync(path, 'a');
        fs.ftruncateSync(this.#file, Buffer.byteLength(whole));
    }

    /** Replaces the document; it is on disk when this returns. */
    put(document) {
        fs.writeSync(this.#file, `${JSON.stringify(document)}\n`);
        fs.fsyncSync(this.#file);
        this.#remember(document);
    }

    #remember(document) {
        this.#documents.set(document.documentId, document);
    }

    /** The best passages: [{score, documentId, title, text}]. */
    search(vector, top = 5) {
        const hits = [];
        for (const { documentId, title, chunks } of this.#documents.values()) {
            for (const { text, vector: other } of chunks)
                hits.push({ score: cosine(vector, other), documentId, title, text });
        }
        return hits.sort((a, b) => b.score - a.score).slice(0, top);
    }

    close() {
        fs.closeSync(this.#file);
    }
}

function cosine(a, b) {
    let product = 0,
        aa = 0,
        bb = 0;
    for (let i = 0; i < a.length; ++i) {
        product += a[i] * b[i];
        aa += a[i] * a[i];
        bb += b[i] * b[i];
    }
    return product / Math.sqrt(aa * bb || 1);
}

// The message of the queue: a document as JSON, its keys in camelCase, PascalCase or snake_case.

/** Why a message can never succeed; `reason` is that of the dead letter. */
export class Unusable extends Error {
    constructor(reason, message) {
        super(message);
        this.reason = reason;
    }
}

export function parseDocument(body) {
    if (body === null) throw new Unusable('NullPayload', 'the body is null');
    if (typeof body !== 'object' || Buffer.isBuffer(body)) {
        throw new Unusable('MalformedPayload', 'the body is not a JSON object');
    }
    const fields = Object.fromEntries(
        Object.entries(body).map(([key, value]) => [camelCase(key), value]),
    );
    for (const name of ['documentId', 'content']) {
        if (typeof fields[name] !== 'string')
            throw new Unusable('MalformedPayload', `${name} is missing or no text`);
    }
    return fields;
}

function camelCase(key) {
    const words = key.replace(/_(\w)/g, (_, letter) => letter.toUpperCase());
    return words[0].toLowerCase() + words.slice(1);
}

const CHUNK_CHARACTERS = 2_000;

/** Cuts text at paragraphs into passages that a model embeds well. */
export function chunksOf(text) {
    const chunks = [''];
    for (const paragraph of text.split(/\n{2,}/)) {
        for (let start = 0; start === 0 || start < paragraph.length; start += CHUNK_CHARACTERS) {
            const part = paragraph.slice(start, start + CHUNK_CHARACTERS);
            const last = chunks.at(-1);
            if (last && last.length + part.length > CHUNK_CHARACTERS) chunks.push(part);
            else chunks[chunks.length - 1] = last ? `${last}\n\n${part}` : part;
        }
    }
    return chunks;
}

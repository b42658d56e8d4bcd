// Takes documents from a queue, embeds them and puts them into an index: the classic worker.
import { ServiceBusClient } from '@azure/service-bus';
import OpenAI from 'openai';
import { chunksOf, parseDocument } from './document.js';
import { FileIndex } from './file-index.js';
import { outcomeOf } from './outcomes.js';
import { settings } from './settings.js';

const openai = new OpenAI(settings.embeddings);
const index = new FileIndex(settings.indexFile);
const client = new ServiceBusClient(settings.connectionString);
const receiver = client.createReceiver(settings.queue);

async function indexDocument(body) {
    const { documentId, title, category, content } = parseDocument(body);
    const texts = chunksOf(content);
    const { data } = await openai.embeddings.create({ model: settings.model, input: texts });
    index.put({
        documentId,
        title,
        category,
        chunks: data.map(({ embedding }, i) => ({ text: texts[i], vector: embedding })),
    });
    return documentId;
}

// One settlement at a time: rhea, below the client, sends two outcomes of one turn of the event loop as one,
// with the first one's state, whatever the second is (seen in rhea 3.0.5).
let settled = Promise.resolve();
function settle(call) {
    const settling = settled.then(call);
    settled = settling.catch(() => {});
    return settling;
}

// The client renews the lock while this runs, so a slow or throttled model costs no delivery.
async function processMessage(message) {
    let documentId;
    try {
        documentId = await indexDocument(message.body);
    } catch (error) {
        const { retry, deadLetter } = outcomeOf(error);
        if (retry) {
            console.log(`again later: ${error.message}`);
            return settle(() => receiver.abandonMessage(message));
        }
        console.log(`${deadLetter}: ${error.message}`);
        return settle(() =>
            receiver.deadLetterMessage(message, {
                deadLetterReason: deadLetter,
                deadLetterErrorDescription: error.message.slice(0, 4096),
            }),
        );
    }
    // Completed last: after a crash before this the message comes again and is indexed to the same effect.
    await settle(() => receiver.completeMessage(message));
    console.log(`indexed ${documentId}`);
}

const subscription = receiver.subscribe(
    { processMessage, processError: async ({ error }) => console.error(`queue: ${error.message}`) },
    { autoCompleteMessages: false, maxConcurrentCalls: settings.concurrency },
);
console.log(`waiting for documents in ${settings.queue}`);

for (const signal of ['SIGINT', 'SIGTERM']) {
    process.once(signal, async () => {
        await subscription.close(); // what is under way may end
        await client.close();
        index.close();
    });
}

// Searches the index of the worker: node search.js WORDS…
import OpenAI from 'openai';
import { FileIndex } from './file-index.js';
import { settings } from './settings.js';

const openai = new OpenAI(settings.embeddings);
const index = new FileIndex(settings.indexFile);
const { data } = await openai.embeddings.create({
    model: settings.model,
    input: process.argv.slice(2).join(' '),
});
for (const { score, documentId, text } of index.search(data[0].embedding)) {
    console.log(`${score.toFixed(3)}  ${documentId}  ${text.replace(/\s+/g, ' ').slice(0, 100)}`);
}
index.close();

// OpenAI's own client against `millrace simulate`; how to run it: docs/simulate.md. Exits 0 if all holds.
import assert from 'node:assert';
import { createRequire } from 'node:module';

const { OpenAI, AzureOpenAI } = createRequire(import.meta.url)('openai');
const base = process.argv[2] ?? 'http://127.0.0.1:8090';
const client = new OpenAI({ apiKey: 'k', baseURL: `${base}/v1` });
const embed = (options) => client.embeddings.create({ model: 'mine', input: 'text', ...options });

// The first two calls fail with 503 and 429: the client comes back by itself.
const packed = await embed({ model: 'text-embedding-3-small', input: ['hello world', 'bye'] });
assert.equal(packed.data.length, 2);
const [first] = packed.data;
assert.equal(first.embedding.length, 1536);
assert(Math.abs(first.embedding.reduce((sum, x) => sum + x * x, 0) - 1) < 1e-4);

const plain = await embed({ model: 'text-embedding-3-small', input: 'hello world', encoding_format: 'float' });
plain.data[0].embedding.forEach((x, i) => assert(Math.abs(x - first.embedding[i]) < 1e-6));

const short = await embed({ model: 'text-embedding-3-large', dimensions: 256 });
assert.equal(short.data[0].embedding.length, 256);
const tokens = await embed({ input: [[1, 2, 3], [4]] });
assert.equal(tokens.usage.total_tokens, 4);
assert.equal(tokens.data[0].embedding.length, 384);
assert.equal((await client.models.list()).data.length, 4);
assert((await embed({}).withResponse()).request_id);

await assert.rejects(embed({ model: 'nobody' }), (e) => e instanceof OpenAI.NotFoundError && e.code === 'model_not_found');
await assert.rejects(embed({ input: '' }), (e) => e instanceof OpenAI.BadRequestError && e.type === 'invalid_request_error');
const stranger = new OpenAI({ apiKey: 'wrong', baseURL: `${base}/v1` });
await assert.rejects(stranger.embeddings.create({ model: 'mine', input: 'x' }), (e) => e.code === 'invalid_api_key');

const azure = new AzureOpenAI({ apiKey: 'k', endpoint: `${base}/`, apiVersion: '2024-10-21', deployment: 'any' });
assert.equal((await azure.embeddings.create({ model: 'any', input: 'x' })).data.length, 1);
const v1 = new OpenAI({ apiKey: 'k', baseURL: `${base}/openai/v1` });
assert.equal((await v1.embeddings.create({ model: 'mine', input: 'x' })).data.length, 1);

const hasty = new OpenAI({ apiKey: 'k', baseURL: `${base}/v1`, maxRetries: 0 });
let limit;
for (let i = 0; i < 50 && !limit; ++i) {
    await hasty.embeddings.create({ model: 'mine', input: 'x' }).catch((e) => { limit = e; });
}
assert(limit instanceof OpenAI.RateLimitError);
assert.equal(limit.code, 'rate_limit_exceeded');
assert(Number(limit.headers.get('retry-after')) > 0);
assert.equal(limit.headers.get('x-ratelimit-remaining-requests'), '0');
console.log('all holds');

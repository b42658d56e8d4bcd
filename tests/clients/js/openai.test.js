// OpenAI's own client against `millrace simulate`, which serves a model of 384 dimensions named mine to the
// key k, 40 requests a minute, the first two of them errors. In this order: the last test uses up the quota.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';

const { OpenAI, AzureOpenAI } = createRequire(import.meta.url)('openai');
const base = process.env.SIMULATOR_URL;
const client = new OpenAI({ apiKey: 'k', baseURL: `${base}/v1` });
const embed = (options) => client.embeddings.create({ model: 'mine', input: 'text', ...options });

test('after a 503 and a 429 the client comes back by itself and gets vectors of length one', async () => {
    const { data } = await embed({ model: 'text-embedding-3-small', input: ['hello world', 'bye'] });
    assert.equal(data.length, 2);
    assert.equal(data[0].embedding.length, 1536);
    assert(Math.abs(data[0].embedding.reduce((sum, x) => sum + x * x, 0) - 1) < 1e-4);
});

test('base64 and plain numbers are the same vector', async () => {
    const request = { model: 'text-embedding-3-small', input: 'hello world' };
    const packed = (await embed(request)).data[0].embedding;
    const plain = (await embed({ ...request, encoding_format: 'float' })).data[0].embedding;
    plain.forEach((x, i) => assert(Math.abs(x - packed[i]) < 1e-6));
});

test('dimensions, tokens as input, models and request ids are served', async () => {
    const short = await embed({ model: 'text-embedding-3-large', dimensions: 256 });
    assert.equal(short.data[0].embedding.length, 256);
    const tokens = await embed({ input: [[1, 2, 3], [4]] });
    assert.equal(tokens.usage.total_tokens, 4);
    assert.equal(tokens.data[0].embedding.length, 384);
    assert.equal((await client.models.list()).data.length, 4);
    assert((await embed({}).withResponse()).request_id);
});

test('errors are those that the client knows', async () => {
    const unknown = await embed({ model: 'nobody' }).catch((error) => error);
    assert(unknown instanceof OpenAI.NotFoundError);
    assert.equal(unknown.code, 'model_not_found');
    const empty = await embed({ input: '' }).catch((error) => error);
    assert(empty instanceof OpenAI.BadRequestError);
    assert.equal(empty.type, 'invalid_request_error');
    const stranger = new OpenAI({ apiKey: 'wrong', baseURL: `${base}/v1` });
    const refused = stranger.embeddings.create({ model: 'mine', input: 'x' });
    await assert.rejects(refused, { code: 'invalid_api_key' });
});

test("Azure's two forms of address are served", async () => {
    const options = { apiKey: 'k', endpoint: `${base}/`, apiVersion: '2024-10-21', deployment: 'any' };
    const azure = new AzureOpenAI(options);
    assert.equal((await azure.embeddings.create({ model: 'any', input: 'x' })).data.length, 1);
    const v1 = new OpenAI({ apiKey: 'k', baseURL: `${base}/openai/v1` });
    assert.equal((await v1.embeddings.create({ model: 'mine', input: 'x' })).data.length, 1);
});

test('beyond the quota calls fail with when to come back', async () => {
    const hasty = new OpenAI({ apiKey: 'k', baseURL: `${base}/v1`, maxRetries: 0 });
    let limit;
    for (let i = 0; i < 50 && !limit; ++i) {
        const call = hasty.embeddings.create({ model: 'mine', input: 'x' });
        limit = await call.then(() => undefined, (error) => error);
    }
    assert(limit instanceof OpenAI.RateLimitError);
    assert.equal(limit.code, 'rate_limit_exceeded');
    assert(Number(limit.headers.get('retry-after')) > 0);
    assert.equal(limit.headers.get('x-ratelimit-remaining-requests'), '0');
});

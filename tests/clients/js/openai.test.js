// OpenAI's own client against `millrace simulate`, which serves a model of 384 dimensions named mine to the
// key k, 60 requests a minute, the first two of them errors; a prompt that holds FORBIDDEN is filtered, one
// that holds NEVER declined. In this order: the last test uses up the quota.
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
    assert.equal((await client.models.list()).data.length, 8);
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

const schema = {
    type: 'object',
    properties: {
        mood: { type: 'string', enum: ['good', 'bad'] },
        score: { type: 'number', minimum: 0, maximum: 1 },
        notes: { type: 'array', items: { type: 'string' } },
    },
    required: ['mood', 'score', 'notes'],
    additionalProperties: false,
};
const chat = (content, options) =>
    client.chat.completions.create({ model: 'mine', messages: [{ role: 'user', content }], ...options });

function assertFollowsSchema(text) {
    const answer = JSON.parse(text);
    assert.deepEqual(Object.keys(answer), schema.required);
    assert(schema.properties.mood.enum.includes(answer.mood));
    assert(answer.score >= 0 && answer.score <= 1);
    assert(answer.notes.every((note) => typeof note === 'string'));
}

test('a chat completion is words of its prompt, and says what it costs', async () => {
    const { choices, usage } = await chat('windmill riverbank');
    assert.equal(choices[0].finish_reason, 'stop');
    assert.match(choices[0].message.content, /windmill|riverbank/);
    assert.equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
});

test('a completion with a schema follows it, parsed by the client', async () => {
    const format = { type: 'json_schema', json_schema: { name: 'mood', strict: true, schema } };
    const plain = await chat('windmill', { response_format: format });
    assertFollowsSchema(plain.choices[0].message.content);
    const messages = [{ role: 'user', content: 'riverbank' }];
    const request = { model: 'mine', messages, response_format: format };
    const parsed = (await client.chat.completions.parse(request)).choices[0].message.parsed;
    assertFollowsSchema(JSON.stringify(parsed));
    const loose = { name: 'loose', strict: true, schema: { type: 'object', properties: { a: {} } } };
    const refused = chat('x', { response_format: { type: 'json_schema', json_schema: loose } });
    await assert.rejects(refused, OpenAI.BadRequestError);
});

test('a response with a schema follows it', async () => {
    const text = { format: { type: 'json_schema', name: 'mood', strict: true, schema } };
    const request = { model: 'mine', input: 'windmill', instructions: 'Judge.', text };
    const response = await client.responses.create(request);
    assert.equal(response.status, 'completed');
    assertFollowsSchema(response.output_text);
    assert.equal(response.usage.total_tokens, response.usage.input_tokens + response.usage.output_tokens);
});

test('an answer that is cut off says so, in both interfaces', async () => {
    const { choices, usage } = await chat('windmill riverbank', { max_completion_tokens: 5 });
    assert.equal(choices[0].finish_reason, 'length');
    assert(usage.completion_tokens <= 5);
    const cut = await client.responses.create({ model: 'mine', input: 'windmill', max_output_tokens: 5 });
    assert.equal(cut.incomplete_details.reason, 'max_output_tokens');
});

test('a refusal and a filtered prompt are told apart', async () => {
    const { message } = (await chat('NEVER say this')).choices[0];
    assert.equal(message.content, null);
    assert.match(message.refusal, /sorry/);
    const declined = await client.responses.create({ model: 'mine', input: 'NEVER say this' });
    assert.equal(declined.output[0].content[0].type, 'refusal');
    const filtered = await chat('a FORBIDDEN word').catch((error) => error);
    assert(filtered instanceof OpenAI.BadRequestError);
    assert.equal(filtered.code, 'content_filter');
});

test("Azure's deployments complete, and say what their filter found", async () => {
    const options = { apiKey: 'k', endpoint: `${base}/`, apiVersion: '2024-10-21', deployment: 'any' };
    const azure = new AzureOpenAI(options);
    const ask = (content) =>
        azure.chat.completions.create({ model: 'any', messages: [{ role: 'user', content }] });
    assert.equal((await ask('windmill')).choices[0].finish_reason, 'stop');
    const filtered = await ask('a FORBIDDEN word').catch((error) => error);
    assert.equal(filtered.code, 'content_filter');
    assert.equal(filtered.error.innererror.code, 'ResponsibleAIPolicyViolation');
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

// OpenAI's own client and Azure's against the files and batches of `millrace serve`, whose deployment is
// `millrace simulate`.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

const { OpenAI, AzureOpenAI, toFile } = createRequire(import.meta.url)('openai');
const base = process.env.MILLRACE_URL;
const client = new OpenAI({ apiKey: 'k', baseURL: `${base}/v1` });
const direct = new OpenAI({ apiKey: 'k', baseURL: `${process.env.SIMULATOR_URL}/v1` });
const azure = new AzureOpenAI({
    apiKey: 'k', endpoint: `${base}/`, apiVersion: '2024-10-21', deployment: 'text-embedding-3-small',
});
const model = 'text-embedding-3-small';

const line = (id, body, url = '/v1/embeddings') =>
    JSON.stringify({ custom_id: id, method: 'POST', url, body: { model, input: `text of ${id}`, ...body } });
const upload = async (lines, options = {}, from = client) => {
    const file = await toFile(Buffer.from(lines.join('\n')), 'in.jsonl');
    return from.files.create({ file, purpose: 'batch', ...options });
};
const start = (file, options = {}, from = client) => from.batches.create(
    { input_file_id: file.id, endpoint: '/v1/embeddings', completion_window: '24h', ...options });
const ended = async (batch, from = client) => {
    const open = new Set(['validating', 'in_progress', 'finalizing', 'cancelling']);
    while (open.has(batch.status)) {
        await sleep(20);
        batch = await from.batches.retrieve(batch.id);
    }
    return batch;
};
const content = async (id, from = client) =>
    (await (await from.files.content(id)).text()).trim().split('\n').map((text) => JSON.parse(text));

test('a file keeps its bytes, its name and its time', async () => {
    const expires_after = { anchor: 'created_at', seconds: 3600 };
    const file = await upload([line('a')], { expires_after });
    assert.equal(file.object, 'file');
    assert.equal(file.filename, 'in.jsonl');
    assert.equal(file.bytes, line('a').length);
    assert.equal(file.expires_at - file.created_at, 3600);
    assert.equal((await client.files.waitForProcessing(file.id)).status, 'processed');
    assert.equal(await (await client.files.content(file.id)).text(), line('a'));
    assert.equal((await client.files.delete(file.id)).deleted, true);
    await assert.rejects(client.files.retrieve(file.id), OpenAI.NotFoundError);
});

test('a file far larger than memory should hold goes through', async () => {
    const lines = Array.from({ length: 40 }, (_, i) => line(`big-${i}`, { input: 'x'.repeat(1 << 20) }));
    const file = await upload(lines);
    assert.equal(file.bytes, lines.join('\n').length);
    assert.equal((await (await client.files.content(file.id)).arrayBuffer()).byteLength, file.bytes);
    await client.files.delete(file.id);
});

test('lists are paged by the client itself', async () => {
    const made = [];
    for (let i = 0; i < 5; ++i) made.push((await upload([line('a')], { purpose: 'evals' })).id);
    const seen = [];
    const pages = client.files.list({ purpose: 'evals', limit: 2, order: 'asc' });
    for await (const file of pages) seen.push(file.id);
    assert.deepEqual(new Set(seen), new Set(made));
    for (const id of made) await client.files.delete(id);
});

test('results equal those of direct calls', async () => {
    const ids = Array.from({ length: 25 }, (_, i) => `doc-${i}`);
    const asked = (i) => ({
        model, input: [`text ${i}`, [`text ${i}`, `and ${i}`], [1, i]][i % 3],
        encoding_format: i % 2 ? 'float' : 'base64', ...(i % 5 ? {} : { dimensions: 8 }),
    });
    const file = await upload(ids.map((id, i) => line(id, asked(i))));
    const batch = await ended(await start(file, { metadata: { job: 'x' } }));
    assert.equal(batch.status, 'completed');
    assert.deepEqual(batch.request_counts, { total: 25, completed: 25, failed: 0 });
    assert.equal(batch.error_file_id, null);
    assert.equal(batch.metadata.job, 'x');
    const results = await content(batch.output_file_id);
    assert.deepEqual(results.map((result) => result.custom_id).sort(), [...ids].sort());
    assert.equal(batch.usage.total_tokens,
        results.reduce((sum, result) => sum + result.response.body.usage.total_tokens, 0));
    for (const result of results) {
        const alone = await direct.embeddings.create(asked(ids.indexOf(result.custom_id)));
        assert.deepEqual(result.response.body, alone, result.custom_id);
    }
});

test('a request that the provider refuses goes to the error file with the body', async () => {
    const batch = await ended(await start(await upload([line('good'), line('bad', { input: '' })])));
    assert.equal(batch.status, 'completed');
    assert.deepEqual(batch.request_counts, { total: 2, completed: 1, failed: 1 });
    const [failure] = await content(batch.error_file_id);
    assert.equal(failure.custom_id, 'bad');
    assert.equal(failure.response.status_code, 400);
    assert.equal(failure.response.body.error.type, 'invalid_request_error');
});

test('a file with mistakes fails with their lines', async () => {
    const lines = [line('a'), line('a'), '{', line('b', { model: 'nobody' }), line('c', {}, '/v1/responses')];
    const batch = await ended(await start(await upload(lines)));
    assert.equal(batch.status, 'failed');
    assert.deepEqual(batch.errors.data.map((error) => [error.code, error.line]), [
        ['duplicate_custom_id', 2], ['invalid_json_line', 3], ['model_mismatch', 4], ['url_mismatch', 5]]);
});

test('errors are those that the client knows', async () => {
    await assert.rejects(start({ id: 'file-none' }), OpenAI.NotFoundError);
    const file = await upload([line('a')]);
    const wrong = await start(file, { completion_window: '3d' }).catch((error) => error);
    assert(wrong instanceof OpenAI.BadRequestError);
    assert.equal(wrong.param, 'completion_window');
    await assert.rejects(client.batches.retrieve('batch_none'), OpenAI.NotFoundError);
    await assert.rejects(upload([line('a')], { purpose: 'nothing' }), OpenAI.BadRequestError);
});

test('a batch is cancelled and lists show it', async () => {
    const lines = Array.from({ length: 3000 }, (_, i) => line(`c-${i}`));
    const batch = await start(await upload(lines));
    const cancelling = await client.batches.cancel(batch.id);
    assert.equal(cancelling.status, 'cancelling');
    const cancelled = await ended(cancelling);
    assert.equal(cancelled.status, 'cancelled');
    assert(cancelled.request_counts.completed < 3000);
    const listed = [];
    for await (const one of client.batches.list({ limit: 2 })) listed.push(one.id);
    assert(listed.includes(batch.id));
    assert.equal(new Set(listed).size, listed.length);
});

test('a dry run prices and creates nothing', async () => {
    const file = await upload([line('a'), line('b')]);
    const before = (await client.batches.list({ limit: 1 })).data[0].id;
    const estimate = await client.post('/batches?dryRun=true', {
        body: { input_file_id: file.id, endpoint: '/v1/embeddings', completion_window: '24h' } });
    assert.equal(estimate.requests, 2);
    const alone = await direct.embeddings.create({ model, input: ['text of a', 'text of b'] });
    assert.equal(estimate.input_tokens, alone.usage.total_tokens);
    assert.equal((await client.batches.list({ limit: 1 })).data[0].id, before);
});

test("AzureOpenAI's forms of address are served", async () => {
    const file = await upload([line('a'), line('b')], {}, azure);
    const batch = await ended(await start(file, { endpoint: '/embeddings' }, azure), azure);
    assert.equal(batch.status, 'completed');
    assert.equal(batch.endpoint, '/embeddings');
    assert.equal((await content(batch.output_file_id, azure)).length, 2);
    assert((await azure.files.list()).data.some((one) => one.id === file.id));
    assert.equal((await azure.files.delete(file.id)).deleted, true);
    const v1 = new OpenAI({ apiKey: 'k', baseURL: `${base}/openai/v1` });
    assert.equal((await v1.batches.retrieve(batch.id)).status, 'completed');
});

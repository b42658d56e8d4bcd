// examples/js-worker with a server that leaves the documents to it and a provider that is not well at first.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';
import { connect, eventually, isEmpty, take } from './support/servicebus.js';

const QUEUE = process.env.QUEUE ?? 'document-ingestion';
const folder = process.env.WORKER_FOLDER;
const environment = {
    ...process.env,
    SERVICEBUS_CONNECTION_STRING: process.env.MILLRACE_CONNECTION_STRING,
    OPENAI_BASE_URL: `${process.env.SIMULATOR_URL}/v1`,
    OPENAI_API_KEY: 'k',
    INDEX_FILE: 'index.jsonl',
};

/** A program of the example; `output` grows while it runs, `ended` gives its exit code. */
function run(script, ...args) {
    const child = spawn(process.execPath, [script, ...args], {
        cwd: folder,
        env: environment,
        stdio: ['ignore', 'pipe', 'pipe'],
    });
    const program = { child, output: '', ended: new Promise((resolve) => child.on('close', resolve)) };
    for (const stream of [child.stdout, child.stderr])
        stream.on('data', (data) => {
            program.output += data;
        });
    return program;
}

async function finished(script, ...args) {
    const program = run(script, ...args);
    assert.equal(await program.ended, 0, program.output);
    return program.output;
}

test('the worker indexes documents, dead-letters what can never succeed and ends cleanly', async (t) => {
    const client = connect();
    t.after(() => client.close());
    const worker = run('worker.js');
    t.after(() => worker.child.kill('SIGKILL'));

    await finished('send.js', path.join(folder, 'README.md'));
    const sender = client.createSender(QUEUE);
    await sender.sendMessages([
        {
            body: {
                documentId: 'mills',
                title: 'Mills',
                content: 'A mill race carries water to the wheel.',
            },
        },
        { body: { DocumentId: 'pascal', Content: 'Keys in PascalCase.' } },
        { body: { document_id: 'snake', content: 'Keys in snake case.\n\n'.repeat(400) } },
        { body: Buffer.from('no JSON') },
        { body: null },
        { body: { documentId: 'no-content' } },
        { body: { documentId: 'empty', content: '' } },
    ]);

    const queue = client.createReceiver(QUEUE);
    await eventually(() => isEmpty(queue));
    const dead = await take(
        client.createReceiver(QUEUE, { subQueueType: 'deadLetter', receiveMode: 'receiveAndDelete' }),
        4,
    );
    assert.deepEqual(
        dead.map((message) => message.deadLetterReason).sort(),
        ['ApiError_400', 'MalformedPayload', 'MalformedPayload', 'NullPayload'],
        worker.output,
    );
    for (const id of ['README.md', 'mills', 'pascal', 'snake'])
        assert.match(worker.output, new RegExp(`indexed ${id}`));

    worker.child.kill('SIGTERM');
    assert.equal(await worker.ended, 0, worker.output);
    const [best] = (await finished('search.js', 'mill', 'water', 'wheel')).split('\n');
    assert.match(best, /mills/);
});

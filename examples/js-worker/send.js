// Sends files as documents: node send.js FILE…
import fs from 'node:fs';
import path from 'node:path';
import { ServiceBusClient } from '@azure/service-bus';
import { settings } from './settings.js';

const client = new ServiceBusClient(settings.connectionString);
const sender = client.createSender(settings.queue);
for (const file of process.argv.slice(2)) {
    const documentId = path.basename(file);
    const body = {
        documentId,
        title: documentId,
        content: fs.readFileSync(file, 'utf8'),
        category: 'example',
    };
    await sender.sendMessages({ body, contentType: 'application/json' });
    console.log(`sent ${documentId}`);
}
await client.close();

// Everything that differs between a laptop and production comes from the environment.
const local =
    'Endpoint=sb://127.0.0.1;SharedAccessKeyName=any;SharedAccessKey=any;UseDevelopmentEmulator=true;';

export const settings = {
    connectionString: process.env.SERVICEBUS_CONNECTION_STRING ?? local,
    queue: process.env.QUEUE ?? 'document-ingestion',
    embeddings: {
        baseURL: process.env.OPENAI_BASE_URL ?? 'http://127.0.0.1:8090/v1',
        apiKey: process.env.OPENAI_API_KEY ?? 'any',
        maxRetries: 8, // with backoff; obeys Retry-After
    },
    model: process.env.EMBEDDING_MODEL ?? 'text-embedding-3-small',
    indexFile: process.env.INDEX_FILE ?? 'index.jsonl',
    concurrency: Number(process.env.CONCURRENCY ?? 4),
};

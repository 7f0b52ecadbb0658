// Whether something answers with 2xx: node ops/compose/healthy.js [URL]. For health checks in an image without curl; what
// it says of itself in JSON is shown.
const { EVENKEEL_HTTP_PORT: port = '8080' } = process.env;
const url = process.argv[2] ?? `http://127.0.0.1:${port}/livez`;
try {
  const answer = await fetch(url, { signal: AbortSignal.timeout(4_000), redirect: 'error' });
  const { headers, ok, status } = answer;
  if (headers.get('content-type')?.includes('json')) process.stdout.write(`${await answer.text()}\n`);
  if (!ok) throw new Error(`status ${status}`);
} catch (error) {
  process.stderr.write(`${url}: ${error.cause?.message ?? error.message}\n`);
  process.exitCode = 1;
}

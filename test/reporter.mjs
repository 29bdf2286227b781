/**
 * What a person sees of a test run: a line for each file as it ends, then what was skipped and why, the counts, and
 * last of all what failed. For `node --test --test-reporter`.
 */
// biome-ignore lint/style/noDefaultExport: how node:test finds a reporter
export default async function* report(source) {
  const files = new Map();
  const skipped = new Map();
  const failures = [];
  const total = { passed: 0, failed: 0, skipped: 0 };
  let current = null;
  for await (const { type, data } of source) {
    if (type === 'test:stderr' || type === 'test:stdout') {
      if (type === 'test:stderr') yield data.message;
      continue;
    }
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    const file = shortened(data.file ?? current ?? '');
    if (current !== null && file !== current) yield line(current, files.get(current));
    current = file;
    const counts = files.get(file) ?? { passed: 0, failed: 0, skipped: 0 };
    files.set(file, counts);
    if (data.details?.type === 'suite' && !isOwnFailure(type, data)) {
      if (data.skip === undefined) continue;
      counts.skipped++;
      total.skipped++;
      note(skipped, data.skip, `${file}: ${data.name}`);
      continue;
    }
    const kind = data.skip !== undefined ? 'skipped' : type === 'test:pass' ? 'passed' : 'failed';
    counts[kind]++;
    total[kind]++;
    if (kind === 'skipped') note(skipped, data.skip, `${file}: ${data.name}`);
    if (kind === 'failed') failures.push({ file, data });
  }
  if (current !== null) yield line(current, files.get(current));
  if (skipped.size > 0) yield '\nSkipped:\n';
  for (const [reason, tests] of skipped) {
    yield `  ${reason === true || reason === '' ? 'no reason given' : reason}: ${tests.length}\n`;
  }
  for (const { file, data } of failures) {
    yield `\nFAILED ${file}: ${data.name}\n${indented(explained(data.details.error))}\n`;
  }
  yield `\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped\n`;
}

/** A suite fails when a test of it does, which is said already, or when its own code throws. */
function isOwnFailure(type, { details }) {
  return type === 'test:fail' && details.error?.failureType !== 'subtestsFailed';
}

function note(skipped, reason, name) {
  const known = skipped.get(reason);
  if (known === undefined) skipped.set(reason, [name]);
  else known.push(name);
}

function line(file, { passed, failed, skipped }) {
  const parts = [`${passed} passed`];
  if (failed > 0) parts.push(`${failed} FAILED`);
  if (skipped > 0) parts.push(`${skipped} skipped`);
  return `${failed > 0 ? 'FAIL' : 'ok  '} ${file.padEnd(48)} ${parts.join(', ')}\n`;
}

function explained(error) {
  const cause = error?.cause ?? error;
  return typeof cause === 'object' && cause !== null ? (cause.stack ?? String(cause)) : String(cause);
}

function indented(text) {
  return text.replace(/^/gm, '  ');
}

function shortened(path) {
  const at = path.lastIndexOf('/test/');
  return at === -1 ? path : path.slice(at + 1);
}

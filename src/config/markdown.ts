import { DENIED_PORTS } from './denied-ports.ts';
import { defaultPhrase } from './print.ts';
import type { AnyField } from './records.ts';
import { type Entries, entries, kebab, type Leaf } from './schema.ts';

const HEAD = `# Configuration

<!-- Generated from the table of settings: pinholed config --format markdown > docs/configuration.md -->

One YAML file, \`/usr/local/etc/pinholed.yaml\` on FreeBSD and \`/etc/pinholed.yaml\` on Linux, or the one named by
\`--config\`. JSON is valid, too. Every setting has a default, so a file may hold just what differs:

\`\`\`yaml
inside: [192.168.10.0/24, 2001:db8:10::/48]
media-ports: [10000-20000]
timers:
  media-idle: 2m
\`\`\`

\`pinholed check\` names everything that is wrong with a file, each with line, column, key and what was expected;
with such a file nothing is started, and a reload keeps the settings that were in force. \`pinholed config --print\`
shows the settings of the file, or their defaults. Unknown keys, keys given twice, anchors, aliases, tags and second documents are errors.

SIGHUP reads the file again. A changed setting holds for whatever is decided from then on; no call is dropped and
no pinhole closed by it. Those marked *restart* need a restart, which keeps calls as well.

Durations are written \`500ms\`, \`32s\`, \`3m\`, \`12h\`, \`1d\`, or as a bare number of seconds. Sizes are a number of
bytes, or one with \`k\`, \`m\` or \`g\` (powers of 1024). Ports are \`5004\` or \`10000-20000\`, networks
\`192.0.2.0/24\` or a single address.
`;

/** docs/configuration.md. */
export function configurationMarkdown(): string {
  const sections = Object.entries(entries).flatMap(([name, node]) =>
    node.node === 'section' ? [`## \`${kebab(name)}\`\n\n${node.about}\n\n${table(node.entries)}`] : [],
  );
  const records = Object.entries(entries).flatMap(([name, node]) =>
    node.node === 'records' ? [recordsSection(kebab(name), node.kind.fields)] : [],
  );
  return [HEAD, `## Settings\n\n${table(entries)}`, ...records, deniedPorts(), ...sections].join('\n');
}

function table(nodes: Entries): string {
  const rows = Object.entries(nodes).flatMap(([name, node]) =>
    node.node === 'section' ? [] : [row(kebab(name), node)],
  );
  return ['| Setting | Default | Expected | Meaning |', '|---|---|---|---|', ...rows, ''].join('\n');
}

/** Why each port is denied. */
function deniedPorts(): string {
  const rows = DENIED_PORTS.map(([ports, service]) => cells([String(ports), service]));
  return [
    '## Why each of `denied-ports`',
    '',
    'A caller chooses no port of the callee, but whoever makes an inside host announce one (a browser that is led to',
    'write SIP, a telephone that is taken over) chooses it. None of these is where media is sent to; ranges that',
    'telephones use as installed are left out, so Memcached (11211), MongoDB (27017) and WireGuard (51820) are not',
    'among them: narrow `media-ports` instead.',
    '',
    '| Ports | What listens there |',
    '|---|---|',
    ...rows,
    '',
  ].join('\n');
}

/** What a mapping in the list may hold. */
function recordsSection(key: string, fields: Readonly<Record<string, AnyField>>): string {
  const rows = Object.entries(fields).map(([name, { kind, about, required }]) =>
    cells([`\`${kebab(name)}\``, `${kind.expected}${required ? ' (*required*)' : ''}`, about]),
  );
  return [
    `## A mapping in \`${key}\``,
    '',
    '| Key | Expected | Meaning |',
    '|---|---|---|',
    ...rows,
    '',
  ].join('\n');
}

function row(key: string, node: Leaf): string {
  const expected = `${node.kind.expected}${node.reload === 'restart' ? ' (*restart*)' : ''}`;
  return cells([`\`${key}\``, defaultPhrase(node), expected, node.about]);
}

function cells(texts: readonly string[]): string {
  return `| ${texts.map((text) => text.replaceAll('|', '\\|')).join(' | ')} |`;
}

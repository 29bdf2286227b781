import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { entries, kebab } from '../../src/config/schema.ts';
import { make, php, type Tree, withoutPhp } from './package.ts';

interface Answers {
  readonly changes: readonly string[];
  readonly reloaded: readonly string[];
  readonly parties: readonly string[];
  readonly spans: readonly string[];
  readonly registered: readonly (readonly string[])[];
}

const ask = (input: unknown) => php<Answers>(['service.php'], JSON.stringify(input));
const NOTHING = { changes: [], parties: [], spans: [], receivers: [] };

describe('pfSense package: the service', { skip: withoutPhp }, () => {
  it('is restarted for what the daemon reads at its start alone, reads the rest again, and is left alone otherwise', () => {
    const row = [{ external: '203.0.113.2', insidehosts: '192.168.1.10', translation: 'pinhole' }];
    const base64 = (text: string) => Buffer.from(text).toString('base64');
    const forms: readonly (readonly [form: Tree, change: string])[] = [
      [{}, 'nothing'],
      [{ mediaports: '10000-20000' }, 'reload'],
      [{ peers: base64('itsp 192.0.2.1\n192.0.2.2') }, 'reload'],
      [{ nat: 'list', row }, 'reload'],
      [{ loglevel: 'debug', plaincallid: 'on' }, 'reload'],
      [
        { mediahosts: '192.0.2.9', inside: base64('192.168.0.0/16'), outbound: 'on', tcpmedia: 'on' },
        'reload',
      ],
      [{ mode: 'observe' }, 'restart'],
      [{ sipports: '5060 5061' }, 'restart'],
      [{ position: 'before' }, 'restart'],
      [{ fail: 'open', siprules: 'all' }, 'restart'],
      [{ interfaces: 'lan,wan' }, 'restart'],
      [{ logparties: 'on' }, 'reload'],
      [{ storeurl: 'redis://10.9.0.1' }, 'restart'],
      [{ hepfrom: '192.168.1.10', heplisten: '192.168.1.1:9060' }, 'restart'],
      [{ more: base64('static-media:\n  - name: x') }, 'restart'],
    ];
    const [before] = make([{}]);
    const [one, other] = make(
      ['a', 'b'].map((name) => ({ form: { more: base64(`static-media:\n  - name: ${name}`) } })),
    );
    assert.deepEqual(ask({ ...NOTHING, changes: [[one!.yaml, other!.yaml]] }).changes, ['restart']);
    const after = make(forms.map(([form]) => ({ form })));
    const { changes } = ask({ ...NOTHING, changes: after.map(({ yaml }) => [before!.yaml, yaml]) });
    assert.deepEqual(
      changes,
      forms.map(([, change]) => change),
    );
  });

  it('takes for read again what the table of settings says is', () => {
    const log = entries['log'];
    const inner = log?.node === 'section' ? log.entries : {};
    const node = (key: string) => (key.startsWith('  ') ? inner : entries)[camel(key.trim())];
    const camel = (key: string) =>
      Object.keys({ ...entries, ...inner }).find((one) => kebab(one) === key) ?? '';
    for (const key of ask(NOTHING).reloaded) {
      const found = node(key);
      if (found === undefined || found.node === 'section') assert.fail(`no setting ${key}`);
      assert.equal(found.reload, 'reload', key);
    }
  });

  it('shares its settings with the other firewall of a pair only where the receiver can take it', () => {
    const { registered } = ask({
      ...NOTHING,
      receivers: [
        'foreach ($pkg_merged_paths as $pkg => $sections) {',
        'foreach ($pkg_merged_paths as $pkg => $paths) {',
        '',
      ],
    });
    const others = ['plugin_carp', 'plugin_gateway'];
    const sync = ['plugin_xmlrpc_send', 'plugin_xmlrpc_recv', 'plugin_xmlrpc_recv_done'];
    assert.deepEqual(registered, [others, [...others, ...sync], others]);
  });

  it('names parties and spans as people do', () => {
    const { parties, spans } = ask({
      ...NOTHING,
      parties: [
        '"Alice \\"A\\" Example" <sip:a@b>;tag=1',
        'Bob <sip:b@c>',
        '<sip:+49301234@itsp;user=phone>',
        'tel:+4930',
        'sip:%41lice@x',
        '<sip:',
        '',
      ],
      spans: [0, 75, 3700, -5],
    });
    assert.deepEqual(parties, ['Alice "A" Example', 'Bob', '+49301234', '+4930', 'Alice', '<sip:', '']);
    assert.deepEqual(spans, ['0:00', '1:15', '1:01:40', '0:00']);
  });
});

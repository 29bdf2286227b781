import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { eventually, loadRuleset } from './daemon.ts';
import { type Guest, openGuest, withoutGuest } from './guest.ts';
import { CONFIG, ruleset } from './ruleset.ts';

const file = (path: string) =>
  readFileSync(new URL(`../../packaging/freebsd/${path}`, import.meta.url), 'utf8');

describe('rc(8)', { skip: withoutGuest }, () => {
  let guest: Guest;

  const write = (path: string, text: string) =>
    guest.run(`cat > ${path} <<'END-OF-FILE'\n${text}\nEND-OF-FILE`);
  const service = (words: string) => guest.run(`service pinholed ${words} 2>&1`);
  const isUp = async () => (await guest.run('sockstat 2>/dev/null')).includes('*:8668');
  /** Lines of the daemon's in the system's log. */
  const said = async (text: string) =>
    Number(
      await guest.run(
        `cat /var/log/messages /var/log/daemon.log 2>/dev/null | grep "pinholed.*${text}" | wc -l`,
      ),
    );

  before(async () => {
    guest = await openGuest();
    await guest.run('mkdir -p /usr/local/etc/rc.d /usr/local/bin');
    await write('/usr/local/etc/rc.d/pinholed', file('rc.d/pinholed'));
    await guest.run('chmod +x /usr/local/etc/rc.d/pinholed');
    await guest.run(`ln -sf ${guest.files}/pinholed /usr/local/bin/pinholed`);
    await write('/usr/local/etc/pinholed.yaml', CONFIG);
    await guest.run('chmod 644 /usr/local/etc/pinholed.yaml; rm -rf /var/db/pinholed');
    await guest.run(
      'pw usershow _pinholed >/dev/null 2>&1 || pw useradd _pinholed -d /nonexistent -s /usr/sbin/nologin',
    );
    await guest.run(
      `sysrc -q pinholed_enable=YES pinholed_env="${process.env['PINHOLED_VM_ENVIRONMENT'] ?? ''}"`,
    );
    await loadRuleset(guest, ruleset(guest));
    await guest.run('pfctl -q -d; pfctl -q -F all; kldunload ipdivert; true');
  });

  after(async () => {
    await guest?.run('service pinholed stop; sysrc -q -x pinholed_enable pinholed_env pinholed_flags; true');
    await guest?.close();
  });

  it('refuses to start with a configuration that is wrong', async () => {
    await write('/usr/local/etc/pinholed.yaml', 'insid: []');
    await assert.rejects(service('start'), /insid/);
    await assert.rejects(service('configtest'), /insid/);
    await write('/usr/local/etc/pinholed.yaml', CONFIG);
    await service('configtest');
  });

  it('start loads ipdivert, opens the socket and drops root', async () => {
    const before = await said('taken up');
    await service('start');
    await eventually(async () => (await said('taken up')) > before);
    assert.ok(await isUp());
    assert.match(await guest.run('kldstat -q -m ipdivert && echo loaded'), /loaded/);
    const users = await guest.run('ps -axo user,command | grep "[p]inholed run --supervised"');
    assert.match(users, /^_pinholed /);
    assert.match(await service('status'), /is running as pid \d+/);
  });

  it('reload reads the configuration again', async () => {
    await write('/usr/local/etc/pinholed.yaml', `${CONFIG.replace('level: info', 'level: debug')}`);
    const before = await said('log.level: info to debug');
    await service('reload');
    await eventually(async () => (await said('log.level: info to debug')) > before);
  });

  it('restarts what is killed', async () => {
    const before = await said('taken up');
    await guest.run('kill -9 $(cat /var/run/pinholed.pid)');
    await eventually(async () => (await service('status').catch(() => '')).includes('is running as pid'));
    await eventually(async () => (await said('taken up')) > before);
  });

  it('restart, also with a data path whose supervisor was killed a moment ago', async () => {
    for (const first of ['true', 'kill -9 $(cat /var/run/pinholed.pid)']) {
      const before = await said('taken up');
      await guest.run(`${first}; service pinholed restart 2>&1`);
      await eventually(async () => (await said('taken up')) > before);
      await eventually(isUp);
      assert.equal((await guest.run('pgrep -f "run --supervised"')).trim().split('\n').length, 1);
    }
  });

  it('stop right after the supervisor was killed leaves no process', async () => {
    await guest.run('kill -9 $(cat /var/run/pinholed.pid); service pinholed stop 2>&1');
    await eventually(async () => (await guest.run('pgrep -f "pinholed run" || true')) === '');
    const before = await said('taken up');
    await service('start');
    await eventually(async () => (await said('taken up')) > before);
  });

  const rules = () => guest.run("pfctl -q -a 'pinholed/*' -sr 2>/dev/null; true");

  async function stopped(): Promise<void> {
    await service('stop');
    await eventually(async () => !(await isUp()));
    assert.equal(await guest.run('pgrep -f "pinholed run" || true'), '');
  }

  it('stop leaves no process and no socket, and the rules for the next start; with --drop none', async () => {
    await stopped();
    assert.match(await rules(), /^anchor "00" /m);
    await guest.run('sysrc -q pinholed_flags="--drop"');
    const before = await said('taken up');
    await service('start');
    await eventually(async () => (await said('taken up')) > before);
    await stopped();
    assert.equal(await rules(), '');
  });
});

import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryDirectory } from './programs.ts';

export interface Certificate {
  readonly certificate: string;
  readonly key: string;
  /** Both in one file, as baresip wants them. */
  readonly both: string;
}

/** A certificate that nobody signed, for an address. */
export function makeCertificate(address: string): Certificate {
  const directory = temporaryDirectory();
  const [certificate, key] = [join(directory, 'cert.pem'), join(directory, 'key.pem')];
  execFileSync(
    'openssl',
    [
      ...[
        'req',
        '-x509',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:prime256v1',
        '-nodes',
        '-days',
        '2',
      ],
      ...['-subj', `/CN=${address}`, '-keyout', key, '-out', certificate],
    ],
    { stdio: 'ignore' },
  );
  const both = join(directory, 'both.pem');
  writeFileSync(both, Buffer.concat([readFileSync(key), readFileSync(certificate)]));
  return { certificate, key, both };
}

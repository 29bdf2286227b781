import type { Buffer } from 'node:buffer';
import type { Architecture, PackageDescription } from './pkg.ts';
import { account, addAccount, file, programFiles, project, removeTraces, stopForGood } from './program.ts';

/** The daemon for a plain FreeBSD. */
export function packages(architecture: Architecture, executable: Buffer): PackageDescription[] {
  return [
    {
      ...project,
      name: 'pinholed',
      origin: 'net/pinholed',
      comment: 'SIP pinhole daemon for pf',
      description:
        'Reads SIP that a pf divert-to rule hands it, opens the RTP and RTCP ports that each call needs in a pf ' +
        'anchor before it lets the message go on, and closes them with the call. It never changes a byte.',
      architecture,
      users: [account],
      groups: [account],
      files: [
        ...programFiles(executable),
        file('packaging/freebsd/pinholed.yaml.sample', '/usr/local/etc/pinholed.yaml.sample'),
        file(
          'packaging/freebsd/newsyslog.conf.d/pinholed.conf',
          '/usr/local/etc/newsyslog.conf.d/pinholed.conf',
        ),
      ],
      scripts: {
        'pre-install': addAccount,
        'post-install': SAMPLE_INSTALLED,
        'pre-deinstall': `${SAMPLE_REMOVED}${stopForGood}`,
        'post-deinstall': removeTraces,
      },
      message:
        'Edit /usr/local/etc/pinholed.yaml, run "pinholed check" and "pinholed rules", put what it prints into ' +
        '/etc/pf.conf, then:\n\n  sysrc pinholed_enable=YES\n  service pinholed start\n  pfctl -f /etc/pf.conf\n  pinholed doctor\n',
    },
  ];
}

/** As the ports tree's @sample: the administrator's file is never overwritten, and removed only while it is the sample. */
const SAMPLE_INSTALLED = `ROOT="\${PKG_ROOTDIR%/}"
if [ ! -e "\${ROOT}/usr/local/etc/pinholed.yaml" ]; then
	cp -p "\${ROOT}/usr/local/etc/pinholed.yaml.sample" "\${ROOT}/usr/local/etc/pinholed.yaml"
fi
exit 0
`;

const SAMPLE_REMOVED = `ROOT="\${PKG_ROOTDIR%/}"
if cmp -s "\${ROOT}/usr/local/etc/pinholed.yaml" "\${ROOT}/usr/local/etc/pinholed.yaml.sample"; then
	rm -f "\${ROOT}/usr/local/etc/pinholed.yaml"
fi
`;

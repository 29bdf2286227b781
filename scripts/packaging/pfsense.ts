import { Buffer } from 'node:buffer';
import type { Architecture, PackageDescription, PackageFile } from './pkg.ts';
import { account, addAccount, programFiles, project, tree } from './program.ts';

const NAME = 'pfSense-pkg-pinholed';
/** Where the files of the port lie as they are installed. */
const FILES = `packaging/pfsense/net/${NAME}/files`;

/** The daemon and its pages for pfSense in one package: one line installs it, and nothing has to be fetched beside it. */
export function packages(architecture: Architecture, executable: Buffer): PackageDescription[] {
  return [
    {
      ...project,
      name: NAME,
      origin: `net/${NAME}`,
      comment: 'SIP pinhole daemon with its pages for pfSense',
      description:
        'Reads SIP that a pf divert-to rule hands it, opens the RTP and RTCP ports that each call needs before it lets ' +
        'the message go on, and closes them with the call. It never changes a byte. Services > SIP Pinholes sets it up, ' +
        'Status > SIP Pinholes shows the calls.',
      architecture,
      users: [account],
      groups: [account],
      files: [...programFiles(executable), ...pages()],
      scripts: {
        'pre-install': addAccount,
        'post-install': registration('POST-INSTALL'),
        'pre-deinstall': registration('DEINSTALL'),
        'post-deinstall': registration('POST-DEINSTALL'),
      },
      message:
        'Services > SIP Pinholes: switch it on, choose the interfaces of your PBX or telephones, save.\n',
    },
  ];
}

/** The files of the port, with the version in what pfSense lists of its packages. */
export function pages(): PackageFile[] {
  return tree(FILES, '')
    .filter(({ path }) => !path.endsWith('.in'))
    .map((one) =>
      one.path.endsWith('/info.xml')
        ? { ...one, content: Buffer.from(one.content.toString().replace('%%PKGVERSION%%', project.version)) }
        : one,
    );
}

/**
 * As pkg-install.in and pkg-deinstall.in of pfSense's ports do: pfSense writes it into, or out of, its configuration. pkg
 * sets PKG_ROOTDIR always, to `/` where no other root was asked for (libpkg, scripts.c).
 */
function registration(when: string): string {
  return `if [ -z "\${PKG_ROOTDIR%/}" ] && [ -x /usr/local/bin/php ]; then
	/usr/local/bin/php -f /etc/rc.packages ${NAME} ${when}
fi
exit 0
`;
}

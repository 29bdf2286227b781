import { Buffer } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './modules.ts';
import type { Architecture, PackageDescription } from './pkg.ts';
import { account, addAccount, programFiles, project, removeTraces, tree } from './program.ts';

const port = 'packaging/opnsense/net/pinholed';

/**
 * The plugin with the program in it, so that there is one file to install. Its scripts are those that the Makefile's
 * plugins.mk would generate, and ours around them.
 */
export function packages(architecture: Architecture, executable: Buffer): PackageDescription[] {
  const variables = makefile(read('Makefile'));
  const description = read('pkg-descr');
  return [
    {
      ...project,
      name: 'os-pinholed',
      version: variables['PLUGIN_VERSION']!,
      origin: 'opnsense/os-pinholed',
      comment: variables['PLUGIN_COMMENT']!,
      description,
      architecture,
      users: [account],
      groups: [account],
      annotations: about(variables, architecture),
      files: [
        ...programFiles(executable),
        ...tree(`${port}/src`, '/usr/local'),
        {
          path: '/usr/local/opnsense/version/pinholed',
          content: Buffer.from(`${JSON.stringify(about(variables, architecture), null, 4)}\n`),
          mode: 0o644,
        },
      ],
      scripts: {
        'pre-install': addAccount,
        'post-install': INSTALLED,
        'pre-deinstall': `${read('+PRE_DEINSTALL.pre')}exit 0\n`,
        'post-deinstall': `${CONFIGURE('POST_DEINSTALL')}${read('+POST_DEINSTALL.post')}${removeTraces}`,
      },
      message: 'The settings are in Services: SIP Pinholes.',
    },
  ];
}

/** What the firmware page goes by. Tier 4 is what nobody but its authors supports. */
function about(variables: Readonly<Record<string, string>>, architecture: Architecture) {
  return {
    product_arch: architecture === 'arm64' ? 'aarch64' : architecture,
    product_conflicts: 'os-pinholed-devel',
    product_email: variables['PLUGIN_MAINTAINER']!,
    product_id: 'os-pinholed',
    product_name: variables['PLUGIN_NAME']!,
    product_tier: '4',
    product_version: variables['PLUGIN_VERSION']!,
    product_website: variables['PLUGIN_WWW']!,
  };
}

const CONFIGURE = (when: string) => `if [ -f /usr/local/etc/rc.configure_plugins ]; then
	/usr/local/etc/rc.configure_plugins ${when}
fi
`;

const INSTALLED = `if [ -f /usr/local/etc/rc.d/configd ]; then
	/usr/local/etc/rc.d/configd restart
fi
if [ -f /usr/local/opnsense/mvc/script/run_migrations.php ]; then
	/usr/local/opnsense/mvc/script/run_migrations.php OPNsense/Pinholed
fi
${CONFIGURE('POST_INSTALL')}if [ -f /usr/local/sbin/configctl ]; then
	/usr/local/sbin/configctl template reload OPNsense/Pinholed
	/usr/local/sbin/configctl template reload OPNsense/Syslog
	if grep -q '^pinholed_enable="YES"' /etc/rc.conf.d/pinholed 2>/dev/null; then
		/usr/local/sbin/configctl pinholed restart
		/usr/local/sbin/configctl filter reload skip_alias
	fi
fi
exit 0
`;

function read(name: string): string {
  return readFileSync(join(root, port, name), 'utf8');
}

function makefile(text: string): Record<string, string> {
  const assigned = text.matchAll(/^([A-Z_]+)=\t+(.*)$/gm);
  return Object.fromEntries([...assigned].map(([, name, value]) => [name!, value!]));
}

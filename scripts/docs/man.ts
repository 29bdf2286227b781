import { configurationMdoc } from '../../src/config/mdoc.ts';

const HEAD = `.\\" Made by "npm run docs" from the table of settings: its frame is in scripts/docs/man.ts.
.Dd November 23, 2026
.Dt PINHOLED.YAML 5
.Os
.Sh NAME
.Nm pinholed.yaml
.Nd configuration of pinholed
.Sh DESCRIPTION
.Nm
is the configuration of
.Xr pinholed 8 ,
in YAML 1.2.
All of it has a default.
A setting that is not known, written twice or out of its range is an error, and
the daemon does not start;
.Ql pinholed check
names every error at once, with its line.
.Pp
Durations are written
.Ql 500ms ,
.Ql 32s ,
.Ql 3m ,
.Ql 12h
or
.Ql 1d .
On
.Dv SIGHUP
the file is read again; settings that need a restart say so below.
.Pp
The settings are:
`;
const TAIL = `.Sh FILES
.Bl -tag -width Ds
.It Pa /usr/local/etc/pinholed.yaml
.It Pa /usr/local/etc/pinholed.yaml.sample
Every setting with its default.
.El
.Sh EXAMPLES
A PBX at 192.0.2.10, a provider, and nothing else:
.Bd -literal -offset indent
inside: [192.0.2.0/24]
peers: [198.51.100.0/24]
media-ports: [10000-20000]
caps:
  calls-per-host: 500
freebsd:
  inside-interfaces: [em1]
.Ed
.Sh SEE ALSO
.Xr pf.conf 5 ,
.Xr pinholed 8
`;

/** pinholed.yaml(5): its frame is here, its middle follows from the table of settings. */
export function manPage(): string {
  return `${HEAD}${configurationMdoc()}${TAIL}`;
}

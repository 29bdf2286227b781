<?php

/*
 * Copyright (c) 2026 The pinholed authors
 * SPDX-License-Identifier: BSD-2-Clause
 */

namespace OPNsense\Pinholed;

/**
 * The rules that hand SIP to the daemon, made from the user's own rules: what a rule decides about SIP stays its
 * decision (blocks, schedules, gateways, limits), only that what passes goes through the daemon.
 *
 * Rules are the arrays that Firewall\Plugin::registerFilterRule() takes.
 */
class DivertRules
{
    /** Where the user's rules begin and end among the priorities. */
    private const USER_RULES = [200000, 500000];

    /** What is taken over from a rule of the user as it is. */
    private const KEPT = [
        '#ref', 'label', 'log', 'sched', 'from', 'from_not', 'from_port', 'to', 'to_not', 'source', 'gateway',
        'reply-to', 'disablereplyto', 'skip_rules_gw_down', 'os', 'tos', 'prio', 'set-prio', 'set-prio-low', 'tagged',
        'tag', 'allowopts', 'nopfsync', 'max', 'max-src-nodes', 'max-src-conn', 'max-src-states', 'max-src-conn-rate',
        'max-src-conn-rates', 'max-pkt-rate-number', 'max-pkt-rate-seconds', 'overload', 'statetimeout', 'udp-first',
        'udp-single', 'udp-multiple', 'adaptivestart', 'adaptiveend', 'state-policy', 'shaper1', 'shaper2',
    ];

    /** Of these the ones that core writes into the ruleset as they are. */
    private const WORDS = [
        'label', 'tag', 'tagged', 'os', 'tos', 'prio', 'set-prio', 'set-prio-low', 'overload', 'state-policy', 'max',
        'max-src-nodes', 'max-src-conn', 'max-src-states', 'max-src-conn-rate', 'max-src-conn-rates',
        'max-pkt-rate-number', 'max-pkt-rate-seconds', 'statetimeout', 'udp-first', 'udp-single', 'udp-multiple',
        'adaptivestart', 'adaptiveend',
    ];

    /**
     * A state that pfsync brings to the other firewall of a pair comes without its rule, and what belongs to it would pass
     * unread there: so these stay here, and a connection that is under way is picked up there in its middle.
     */
    private const PAIR = [
        ['protocol' => 'udp', 'statetype' => 'keep', 'nopfsync' => true],
        ['protocol' => 'tcp', 'statetype' => 'sloppy', 'nopfsync' => true, 'tcpflags_any' => true],
    ];

    private $interfaces;
    private $groups;
    private $ports;
    private $families;
    private $divertPort;
    private $pair;
    private $portsOfAlias;

    /**
     * @param array $settings interfaces: names such as lan; groups: name of an interface group => names of its
     * members; sip: ranges of ports; families: inet, inet6; divert_port; pair: whether another firewall may take over
     * @param callable $portsOfAlias name of a port alias or of a service => array of ports and ranges
     */
    public function __construct(array $settings, callable $portsOfAlias)
    {
        $this->interfaces = $settings['interfaces'];
        $this->groups = $settings['groups'];
        $this->ports = Ports::merged($settings['sip']);
        $this->families = $settings['families'];
        $this->divertPort = $settings['divert_port'];
        $this->pair = !empty($settings['pair']);
        $this->portsOfAlias = $portsOfAlias;
    }

    /**
     * "all SIP of these interfaces": two rules for each.
     * @return array rules
     */
    public function all()
    {
        $result = [];
        foreach ($this->interfaces as $interface) {
            foreach (['in', 'out'] as $direction) {
                array_push($result, ...$this->passing($interface, $direction, 'pinholed: SIP'));
            }
        }
        return $result;
    }

    /**
     * "follow my rules". pf takes the first quick rule that matches and, where none does, the last of the others: so the
     * same is decided by the quick ones in their order, then the others from the last to the first, all made quick.
     * What no rule of the user matches falls through; towards the inside it passes, as the system's own rule has it.
     * @param array $rules [priority, rule] in the order of the ruleset
     * @return array rules
     */
    public function following(array $rules)
    {
        usort($rules, function ($a, $b) {
            return $a[0] <=> $b[0];
        });
        $rules = array_filter($rules, function ($item) {
            return self::USER_RULES[0] <= $item[0] && $item[0] < self::USER_RULES[1];
        });
        $result = [];
        foreach ($this->interfaces as $interface) {
            foreach (['in', 'out'] as $direction) {
                $quick = $others = [];
                foreach ($rules as list(, $rule)) {
                    $copies = $this->copies($rule, $interface, $direction);
                    if ($this->isQuick($rule)) {
                        array_push($quick, ...$copies);
                        continue;
                    }
                    if (!empty($rule['tag'])) {
                        /* what it marks is looked at by rules after it */
                        array_push($quick, ...array_map(function ($copy) {
                            unset($copy['divert-to']);
                            return ['quick' => false] + $copy;
                        }, $copies));
                    }
                    array_unshift($others, ...$copies);
                }
                array_push($result, ...$quick, ...$others);
                if ($direction == 'out') {
                    array_push($result, ...$this->passing($interface, $direction, 'pinholed: SIP to the inside'));
                }
            }
        }
        return $result;
    }

    /**
     * @return array rules without a condition of the user's
     */
    private function passing($interface, $direction, $description)
    {
        $result = [];
        foreach ($this->families as $family) {
            foreach ($this->ports as $range) {
                foreach ($this->pair ? self::PAIR : [['protocol' => 'tcp/udp', 'statetype' => 'keep']] as $state) {
                    $result[] = $state + [
                        'type' => 'pass', 'quick' => true, 'direction' => $direction, 'interface' => $interface,
                        'ipprotocol' => $family, 'to_port' => Ports::text($range, ':'),
                        'disablereplyto' => true, 'divert-to' => $this->divertPort,
                        'label' => 'pinholed: SIP', 'descr' => $description, '#ref' => 'ui/pinholed',
                    ];
                }
            }
        }
        return $result;
    }

    /**
     * @return array the rule as it is for SIP on one interface in one direction; none where it has nothing to do with that
     */
    private function copies(array $rule, $interface, $direction)
    {
        $protocol = strtolower((string)($rule['protocol'] ?? ''));
        $protocol = $protocol == '' || $protocol == 'any' ? 'tcp/udp' : $protocol;
        if (
            !empty($rule['disabled']) || !in_array($protocol, ['udp', 'tcp', 'tcp/udp'], true) ||
            !in_array($rule['type'] ?? 'pass', ['', 'pass', 'block', 'reject'], true) ||
            !in_array(($rule['direction'] ?? '') ?: 'in', ['any', $direction], true) ||
            !$this->concerns($rule, $interface)
        ) {
            return [];
        }
        $kept = array_filter(array_intersect_key($rule, array_flip(self::KEPT)), function ($value, $key) {
            return !in_array($key, self::WORDS) || preg_match('/^[A-Za-z0-9 _.,:\/()-]*$/D', (string)$value);
        }, ARRAY_FILTER_USE_BOTH);
        $pass = in_array($rule['type'] ?? 'pass', ['', 'pass'], true);
        $result = [];
        foreach ($this->familiesOf($rule) as $family) {
            foreach ($this->sipPorts($rule) as $range) {
                $copy = [
                    'type' => $pass ? 'pass' : $rule['type'], 'quick' => true, 'direction' => $direction,
                    'interface' => $interface, 'ipprotocol' => $family, 'protocol' => $protocol,
                    'descr' => 'pinholed: ' . trim((string)($rule['descr'] ?? '')),
                ] + $kept;
                if (!empty($rule['destination']) && is_array($rule['destination'])) {
                    $copy['destination'] = ['port' => Ports::text($range, ':')] + $rule['destination'];
                } else {
                    $copy['to_port'] = Ports::text($range, ':');
                }
                if ($pass) {
                    /* a connection that pf answers for somebody is none that the daemon could read */
                    $state = (string)($rule['statetype'] ?? 'keep');
                    $known = ['none', 'sloppy', 'sloppy state', 'modulate', 'modulate state'];
                    $copy['statetype'] = in_array($state, $known, true) ? $state : 'keep';
                    $copy['divert-to'] = $this->divertPort;
                }
                $result[] = $copy;
            }
        }
        return $result;
    }

    private function isQuick(array $rule)
    {
        return isset($rule['quick']) ? !empty($rule['quick']) : !isset($rule['floating']);
    }

    private function concerns(array $rule, $interface)
    {
        if (empty($rule['interface'])) {
            return true;
        }
        $names = [];
        foreach (explode(',', $rule['interface']) as $name) {
            array_push($names, $name, ...($this->groups[$name] ?? []));
        }
        return in_array($interface, $names, true) xor !empty($rule['interfacenot']);
    }

    private function familiesOf(array $rule)
    {
        $family = $rule['ipprotocol'] ?? '';
        return $family == '' || $family == 'inet46' ? $this->families : array_intersect($this->families, [$family]);
    }

    /**
     * @return array the part of its destination ports that is SIP
     */
    private function sipPorts(array $rule)
    {
        $text = is_array($rule['destination'] ?? null) ? ($rule['destination']['port'] ?? '') : ($rule['to_port'] ?? '');
        $text = strtolower((string)$text) == 'any' ? '' : (string)$text;
        if ($text === '') {
            return $this->ports;
        }
        $range = preg_replace(['/^any[-:]/', '/[-:]any$/D'], ['1:', ':65535'], $text);
        $ranges = Ports::range($range) !== null ? [$range] : ($this->portsOfAlias)($text);
        return Ports::merged(Ports::common($this->ports, Ports::ranges($ranges)));
    }
}

<?php

/* What a PC has not: the C extension's validation classes, and configd. */

namespace Phalcon\Filter\Validation {
    interface ValidatorInterface
    {
    }

    abstract class AbstractValidator implements ValidatorInterface
    {
        public function __construct(public array $options = [])
        {
        }
    }
}

namespace Phalcon\Filter {
    class Validation
    {
        public function add($field, $validator)
        {
        }

        public function validate($data)
        {
            return [];
        }
    }
}

namespace OPNsense\Core {
    class Backend
    {
        /** What configd answers, by the beginning of what it is asked. */
        public static $answers = [];
        public static $asked = [];

        public function configdRun($event, ...$rest)
        {
            self::$asked[] = $event;
            return self::$answers[$event] ?? '';
        }

        public function configdpRun($event, $parameters = [], ...$rest)
        {
            self::$asked[] = $event;
            $answer = self::$answers[$event] ?? '';
            return is_callable($answer) ? $answer($parameters) : $answer;
        }
    }
}

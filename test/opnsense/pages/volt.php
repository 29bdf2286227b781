<?php

/*
 * Draws the plugin's pages from JSON on standard input, {"views": [folder...], "page": name, "layout": name or null, "data":
 * {...}}, and prints them. With Phalcon's own compiler of Volt where php has it; else with the little of it that a page
 * without forms needs. What a view calls of OPNsense's is below.
 */

error_reporting(E_ALL & ~E_DEPRECATED);
set_error_handler(function ($level, $message, $file, $line) {
    throw new ErrorException($message, 0, $level, $file, $line);
}, E_ALL & ~E_DEPRECATED);

function view_fetch_themed_filename($name, $theme)
{
    $name = '/' . ltrim($name, '/');
    return str_starts_with($name, '/ui/') ? $name : (view_file_exists("/usr/local/opnsense/www/themes/{$theme}/build{$name}")
        ? "/ui/themes/{$theme}/build{$name}" : "/ui{$name}");
}

function view_file_exists($name)
{
    $name = is_array($name) ? implode('', $name) : $name;
    return $GLOBALS['core'] !== null && file_exists(str_replace('/usr/local', $GLOBALS['core'] . '/src', $name));
}

function view_cache_safe($address)
{
    return $address;
}

function view_html_safe($text)
{
    return htmlspecialchars((string)$text, ENT_QUOTES | ENT_HTML401);
}

/** The part of the language that pages without forms use, to PHP; anything else is an error. */
function little_volt($text)
{
    $value = function ($expression) {
        $words = preg_split("/('(?:[^'\\\\]|\\\\.)*')/", trim($expression), -1, PREG_SPLIT_DELIM_CAPTURE);
        foreach ($words as $index => $word) {
            if ($index % 2 == 0) {
                $word = preg_replace('/([a-z][\w\[\]$\x27]*) is defined/i', 'isset($1)', $word);
                $word = preg_replace('/\b(not|and|or)\b/', '@$1@', $word);
                $word = preg_replace('/(?<![\w>@])([a-z]\w*)(?![\w(@])/i', '$$1', $word);
                $words[$index] = strtr($word, ['@not@' => '!', '@and@' => '&&', '@or@' => '||', 'lang.' => 'lang->']);
            }
        }
        return implode('', $words);
    };
    $statement = function ($found) use ($value) {
        $tag = trim($found[1]);
        if (preg_match('/^for (\w+) in (.+)$/s', $tag, $loop)) {
            return '<?php foreach (' . $value($loop[2]) . " as \${$loop[1]}) { ?>";
        }
        if (preg_match('/^if (.+)$/s', $tag, $condition)) {
            $condition = $condition[1];
            $is = '';
            foreach ([' is not empty' => '!empty(', ' is empty' => 'empty(', ' is defined' => 'isset('] as $test => $call) {
                $condition = preg_replace_callback(
                    '/([\w\[\]\']+)' . $test . '/',
                    fn ($one) => "\x01{$call}{$value($one[1])})\x01",
                    $condition
                );
            }
            foreach (explode("\x01", $condition) as $index => $part) {
                $is .= $index % 2 ? $part : ' ' . $value($part);
            }
            return "<?php if ({$is}) { ?>";
        }
        return match ($tag) {
            'else' => '<?php } else { ?>',
            'endif', 'endfor' => '<?php } ?>',
        };
    };
    $text = preg_replace('/\{#.*?#\}/s', '', $text);
    $text = preg_replace_callback('/\{%(.*?)%\}/s', $statement, $text);
    return preg_replace_callback('/\{\{(.*?)\}\}/s', function ($found) use ($value) {
        $isEscaped = preg_match('/^(.*)\|\s*e\s*$/s', $found[1], $inner);
        return $isEscaped
            ? '<?= $this->escaper->html(' . $value($inner[1]) . ') ?>'
            : '<?= ' . $value($found[1]) . ' ?>';
    }, $text);
}

class View
{
    public $escaper;
    private $variables;

    public function __construct(private array $folders, array $data)
    {
        $this->escaper = new class {
            public function html($text)
            {
                return view_html_safe($text);
            }
        };
        $this->variables = $data + [
            'lang' => new class {
                public function _($text)
                {
                    return $text;
                }
            },
            'acl' => new class {
                public function isPageAccessible()
                {
                    return true;
                }
            },
        ];
    }

    public function __get($name)
    {
        return $this->variables[$name] ?? null;
    }

    public function __isset($name)
    {
        return isset($this->variables[$name]);
    }

    public function partial($name, $more = [])
    {
        $found = array_filter(array_map(fn ($folder) => "{$folder}/{$name}.volt", $this->folders), 'is_file');
        $text = file_get_contents(array_values($found)[0]);
        if (class_exists('Phalcon\Mvc\View\Engine\Volt\Compiler')) {
            $compiler = new Phalcon\Mvc\View\Engine\Volt\Compiler();
            $compiler->addFunction('theme_file_or_default', 'view_fetch_themed_filename');
            $compiler->addFunction('file_exists', 'view_file_exists');
            $compiler->addFunction('cache_safe', 'view_cache_safe');
            $compiler->addFilter('safe', 'view_html_safe');
            $code = $compiler->compileString($text);
        } else {
            $code = little_volt($text);
        }
        $before = $this->variables;
        $this->variables = $more + $this->variables;
        $result = (function () use ($code) {
            extract($this->variables);
            ob_start();
            eval('?>' . $code);
            return ob_get_clean();
        })->call($this);
        $this->variables = $before;
        return $result;
    }

    /* What Volt's "in" calls of its engine. */
    public function isIncluded($needle, $haystack)
    {
        return is_array($haystack) ? in_array($needle, $haystack) : str_contains((string)$haystack, (string)$needle);
    }

    public function length($value)
    {
        return is_array($value) ? count($value) : strlen((string)$value);
    }

    public function getContent()
    {
        return $this->variables['content'] ?? '';
    }
}

$given = json_decode(stream_get_contents(STDIN), true, 512, JSON_THROW_ON_ERROR);
$core = $given['core'] ?? null;
$view = new View($given['views'], $given['data']);
$content = $view->partial($given['page']);
echo $given['layout'] === null ? $content : (new View($given['views'], ['content' => $content] + $given['data']))->partial($given['layout']);

<?php
/*
 * Rewrites files for a PHP before 8.3, which has no static variables that begin with an expression:
 * `static $x = f();` becomes `static $x; $x ??= f();`.
 */
foreach (array_slice($argv, 1) as $file) {
	$text = file_get_contents($file);
	$changed = rewritten($text);
	if ($changed !== $text) {
		file_put_contents($file, $changed);
	}
}

function rewritten(string $text): string {
	$tokens = PhpToken::tokenize($text);
	$out = '';
	for ($at = 0; $at < count($tokens); $at++) {
		$end = expression_end($tokens, $at);
		if ($end === null) {
			$out .= $tokens[$at]->text;
			continue;
		}
		[$first, $last] = $end;
		$name = $tokens[$at + 2]->text;
		$expression = implode('', array_map(fn ($token) => $token->text, array_slice($tokens, $first, $last - $first)));
		$out .= "static {$name}; {$name} ??= {$expression};";
		$at = $last;
	}
	return $out;
}

/* Where the expression of a static variable begins and ends (at its `;`), or null where it is a constant. */
function expression_end(array $tokens, int $at): ?array {
	if (!$tokens[$at]->is(T_STATIC) || !isset($tokens[$at + 5]) || !$tokens[$at + 2]->is(T_VARIABLE)) {
		return null;
	}
	$first = $at + 3;
	while ($tokens[$first]->is(T_WHITESPACE)) {
		$first++;
	}
	if ($tokens[$first]->text !== '=') {
		return null;
	}
	$depth = 0;
	$computed = false;
	for ($last = $first + 1; $last < count($tokens); $last++) {
		$token = $tokens[$last];
		$computed = $computed || $token->is([T_FUNCTION, T_FN, T_VARIABLE]) || ($token->text === '(' && $tokens[$last - 1]->is(T_STRING));
		$depth += match ($token->text) {
			'(', '{', '[' => 1,
			')', '}', ']' => -1,
			default => 0,
		};
		if ($depth === 0 && $token->text === ';') {
			return $computed ? [$first + 1, $last] : null;
		}
	}
	return null;
}

<?php
// A website in PHP that signs people in with persona. No dependency; see ../README.md.

declare(strict_types=1);

$persona = getenv('PERSONA_ORIGIN');
$audience = getenv('AUDIENCE');
if (!$persona || !$audience) {
    error_log('set PERSONA_ORIGIN to the identity host\'s origin and AUDIENCE to your own, such as https://example.com and https://shop.example.com');
    answer(500, 'This site is not set up yet.');
}

function answer(int $status, string $text): never
{
    http_response_code($status);
    header('Content-Type: text/plain; charset=utf-8');
    exit($text);
}

/** Has an assertion verified. The audience stops another site from using those that it was given. */
function verify(string $assertion, string $audience, string $verifier): ?array
{
    $context = stream_context_create([
        'http' => [
            'method' => 'POST', 'header' => 'Content-Type: application/json', 'timeout' => 10,
            'content' => json_encode(['assertion' => $assertion, 'audience' => $audience], JSON_INVALID_UTF8_SUBSTITUTE),
        ],
        'ssl' => array_filter(['cafile' => getenv('CA_FILE')]),
    ]);
    return json_decode((string) @file_get_contents($verifier, false, $context), true); // only 200 has a verdict
}

$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
$route = $_SERVER['REQUEST_METHOD'] . ' ' . $path;
$assets = ['GET /sign-in.js' => 'text/javascript', 'GET /style.css' => 'text/css'];
$pages = __DIR__ . '/../pages';
header('X-Content-Type-Options: nosniff');
if (isset($assets[$route])) {
    header('Content-Type: ' . $assets[$route]);
    readfile($pages . $path);
    exit;
}

$secure = str_starts_with($audience, 'https:');
session_start([
    'name' => $secure ? '__Host-session' : 'session', // with __Host- no neighbour of the site can set it
    'use_strict_mode' => true, 'gc_maxlifetime' => 8 * 3600,
    'cookie_secure' => $secure, 'cookie_httponly' => true, 'cookie_samesite' => 'Lax', 'cookie_path' => '/',
]);
$_SESSION['csrf'] ??= bin2hex(random_bytes(32));

if ($route === 'GET /') {
    $in = ($_SESSION['ends'] ?? 0) > time();
    header('Content-Type: text/html; charset=utf-8');
    // All that include.js needs is its host in script-src.
    header("Content-Security-Policy: default-src 'none'; script-src 'self' $persona; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'");
    $values = ['{{.Persona}}' => $persona, '{{.CSRF}}' => $_SESSION['csrf'], '{{.Email}}' => $in ? $_SESSION['email'] : ''];
    exit(strtr(file_get_contents($pages . ($in ? '/signed-in.html' : '/signed-out.html')), array_map('htmlspecialchars', $values)));
}
if (!in_array($route, ['POST /sign-in', 'POST /sign-out'], true)) {
    answer(404, 'There is no such page.');
}
if (!hash_equals($_SESSION['csrf'], is_string($_POST['csrf'] ?? null) ? $_POST['csrf'] : '')) {
    answer(403, 'This page was too old. Go back, load it anew and try again.');
}
$new = [];
if ($route === 'POST /sign-in') {
    $assertion = is_string($_POST['assertion'] ?? null) ? $_POST['assertion'] : '';
    $verdict = verify($assertion, $audience, getenv('VERIFIER') ?: "$persona/persona/v2");
    if (!isset($verdict['status'])) {
        error_log('asking the verifier: ' . (error_get_last()['message'] ?? 'no JSON'));
        answer(502, 'Signing in is not possible at the moment.');
    }
    if ($verdict['status'] !== 'okay') {
        error_log('an assertion was refused: ' . json_encode($verdict['reason'] ?? ''));
        answer(403, 'You were not signed in.');
    }
    $new = ['email' => $verdict['email'], 'ends' => time() + 8 * 3600];
}
session_regenerate_id(true); // an attacker may know the one from before
$_SESSION = $new;
header('Location: /', true, 303);

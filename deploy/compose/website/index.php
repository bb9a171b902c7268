<?php
// A page that does what websites behind persona do: it keeps a session in a cookie, takes a form, trusts the
// forwarded headers, because persona alone reaches it, and learns from Remote- fields who is signed in
// (identity_headers).
declare(strict_types=1);

session_set_cookie_params(['secure' => true, 'httponly' => true, 'samesite' => 'Lax']);
session_start();
if ($_SERVER['REQUEST_METHOD'] === 'POST') {
    $_SESSION['note'] = substr((string) ($_POST['note'] ?? ''), 0, 200);
    header('Location: ' . parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH), true, 303);
    exit;
}
$_SESSION['visits'] = ($_SESSION['visits'] ?? 0) + 1;

function text(string $of): string
{
    return htmlspecialchars($of, ENT_QUOTES | ENT_SUBSTITUTE, 'UTF-8');
}

$scheme = $_SERVER['HTTP_X_FORWARDED_PROTO'] ?? 'http';
header('Content-Type: text/html; charset=utf-8');
?>
<!doctype html>
<html lang="en">
<meta name="viewport" content="width=device-width">
<title>Example Ltd</title>
<h1>Example Ltd</h1>
<p>You asked for <code id="address"><?= text($scheme . '://' . $_SERVER['HTTP_HOST'] . $_SERVER['REQUEST_URI']) ?></code>.
<?php if (isset($_SERVER['HTTP_REMOTE_USER'])): ?>
<p>You are signed in as <strong id="person"><?= text($_SERVER['HTTP_REMOTE_NAME'] ?? $_SERVER['HTTP_REMOTE_USER']) ?></strong>, <?= text($_SERVER['HTTP_REMOTE_EMAIL'] ?? 'without an address') ?>.
  <a id="logout" href="/persona/logout?return=/">Sign out</a>
<?php else: ?>
<p>You are not signed in. <a id="login" href="/persona/login?return=<?= rawurlencode($_SERVER['REQUEST_URI']) ?>">Sign in</a>
<?php endif ?>
<p>Pages that you have seen here: <span id="visits"><?= (int) $_SESSION['visits'] ?></span>.
<form method="post">
  <label>A note to yourself: <input name="note" id="note" maxlength="200" value="<?= text($_SESSION['note'] ?? '') ?>"></label>
  <button id="keep">Keep</button>
</form>
</html>

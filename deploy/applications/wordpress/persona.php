<?php

/*
 * WordPress: the person who is signed in at persona is signed in here. Copy this file into wp-content/mu-plugins, and write
 * at the head of wp-config.php (first how WordPress sees that browsers come by HTTPS; then groups of the directory and the
 * roles of their members, of which the first that fits counts; others are subscribers):
 *
 *   if (($_SERVER['HTTP_X_FORWARDED_PROTO'] ?? '') === 'https') { $_SERVER['HTTPS'] = 'on'; $_SERVER['SERVER_PORT'] = 443; }
 *   define('PERSONA_ROLES', ['wp-admins' => 'administrator', 'editors' => 'editor']);
 *
 * In persona.yaml the site's entry of domains needs the line "identity_headers: true", and the site must be within reach of
 * persona alone: it takes the fields Remote-User, Remote-Name, Remote-Email and Remote-Groups for the truth.
 */
function wp_validate_auth_cookie($cookie = '', $scheme = '')
{
    $login = wp_unslash($_SERVER['HTTP_REMOTE_USER'] ?? '');
    if ($login === '' || sanitize_user($login, true) !== $login) return false; // WordPress would give Zoë and Zoe one name
    $mail = wp_unslash($_SERVER['HTTP_REMOTE_EMAIL'] ?? '');
    $groups = array_flip(explode(',', wp_unslash($_SERVER['HTTP_REMOTE_GROUPS'] ?? '')));
    $role = current(array_intersect_key(PERSONA_ROLES, $groups)) ?: 'subscriber';
    if (!get_user_by('login', $login)) wp_insert_user(['user_login' => $login, 'user_pass' => wp_generate_password(32), 'role' => $role,
        'display_name' => $_SERVER['HTTP_REMOTE_NAME'] ?? $login, 'user_email' => email_exists($mail) ? '' : $mail]);
    $user = get_user_by('login', $login);
    if (!$user || strcasecmp($user->user_login, $login)) return false;
    if (array_values($user->roles) !== [$role]) $user->set_role($role);
    do_action('auth_cookie_valid', ['username' => $login, 'scheme' => $scheme], $user); // without it the REST API asks for no nonce
    return $user->ID;
}
add_filter('login_url', fn($url, $to) => '/persona/login?return=' . rawurlencode(wp_make_link_relative($to) ?: $_SERVER['REQUEST_URI']), 10, 2);
add_filter('logout_url', fn($url, $to) => '/persona/logout?return=' . rawurlencode(wp_make_link_relative($to) ?: '/'), 10, 2);
add_action('login_form_login', fn() => wp_redirect(wp_login_url($_REQUEST['redirect_to'] ?? admin_url())) && exit);
add_filter('authenticate', '__return_null', 100); // WordPress's own passwords, also those of applications
foreach (['wp_is_application_passwords_available', 'show_password_fields', 'allow_password_reset', 'wp_auth_check_same_domain'] as $off) add_filter($off, '__return_false');

<?php

/*
 * DokuWiki: the person who is signed in at persona is signed in here. Copy the folder authpersona into lib/plugins, and
 * write into conf/local.php (groups of the directory are groups of DokuWiki; those named there are its superusers):
 *
 *   $conf['useacl'] = 1; $conf['authtype'] = 'authpersona'; $conf['superuser'] = '@wiki-admins';
 *
 * In persona.yaml the wiki's entry of domains needs the line "identity_headers: true", and the wiki must be within reach of
 * persona alone: it takes the fields Remote-User, Remote-Name, Remote-Email and Remote-Groups for the truth.
 */
class auth_plugin_authpersona extends auth_plugin_authplain
{
    public function __construct()
    {
        parent::__construct();
        $this->cando = ['external' => true, 'logout' => true, 'getUsers' => true] + array_fill_keys(array_keys($this->cando), false);
        $GLOBALS['EVENT_HANDLER']->register_hook('ACTION_ACT_PREPROCESS', 'BEFORE', $this, 'signIn');
    }

    public function trustExternal($user, $pass, $sticky = false)
    {
        global $conf, $INPUT, $USERINFO;
        $INPUT->server->remove('REMOTE_USER');
        $login = $INPUT->server->str('HTTP_REMOTE_USER');
        $user = $this->cleanUser($login);
        // DokuWiki would give Zoë and Zoe one name; such a person stays anonymous.
        if ($user === '' || $user !== \dokuwiki\Utf8\PhpString::strtolower($login)) return false;
        $groups = array_map([$this, 'cleanGroup'], explode(',', $conf['defaultgroup'] . ',' . $INPUT->server->str('HTTP_REMOTE_GROUPS')));
        $mail = preg_replace('/.*#.*/', '', $INPUT->server->str('HTTP_REMOTE_EMAIL')); // "#" begins a comment in users.auth.php
        $USERINFO = ['name' => $INPUT->server->str('HTTP_REMOTE_NAME', $login), 'mail' => $mail, 'grps' => array_values(array_filter($groups))];
        if (array_intersect_key($this->getUserData($user) ?: [], $USERINFO) != $USERINFO) {
            $this->deleteUsers([$user]);
            $this->createUser($user, auth_pwgen(), rawurlencode($USERINFO['name']), $mail, $USERINFO['grps']);
        }
        $INPUT->server->set('REMOTE_USER', $user);
        return true;
    }

    public function signIn($event)
    {
        if (!in_array($event->data, ['login', 'denied']) || isset($_SERVER['REMOTE_USER']) || $_SERVER['REQUEST_METHOD'] !== 'GET') return;
        send_redirect('/persona/login?return=' . rawurlencode(DOKU_REL . 'doku.php?id=' . rawurlencode(getID())));
    }

    public function logOff()
    {
        send_redirect('/persona/logout?return=' . rawurlencode(DOKU_REL));
    }
}

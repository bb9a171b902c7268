<?php

/*
 * MediaWiki: the person who is signed in at persona is signed in here. Put this file beside LocalSettings.php, and write at
 * the end of that (groups of the directory, and those of MediaWiki that their members are in):
 *
 *   $wgPersonaGroups = [ 'wiki-admins' => 'sysop' ];
 *   require __DIR__ . '/persona.php';
 *
 * $wgServer must begin with https://. In persona.yaml the wiki's entry of domains needs the line "identity_headers: true",
 * and the wiki must be within reach of persona alone: it takes the fields Remote-User, Remote-Name, Remote-Email and
 * Remote-Groups for the truth.
 */
class PersonaSessionProvider extends MediaWiki\Session\ImmutableSessionProviderWithCookie {
	public function provideSessionInfo( WebRequest $request ) {
		$login = (string)$request->getHeader( 'Remote-User' );
		$user = User::newFromName( $login, 'creatable' );
		// MediaWiki would give "max_m" and "max m" one name; only the first may have it.
		if ( !$user || mb_strtolower( strtr( $user->getName(), ' ', '_' ) ) !== mb_strtolower( $login ) ) return null;
		return new MediaWiki\Session\SessionInfo( 100, [ 'provider' => $this, 'id' => $this->getSessionIdFromCookie( $request ),
			'persisted' => true, 'userInfo' => MediaWiki\Session\UserInfo::newFromUser( $user, true ) ] );
	}
}
$wgSessionProviders['persona'] = [ 'class' => PersonaSessionProvider::class, 'args' => [ [ 'sessionCookieName' => 'PersonaSession' ] ] ];
$wgGroupPermissions['*']['autocreateaccount'] = true;
$wgAuthManagerAutoConfig['primaryauth'] = []; // MediaWiki's own passwords
$wgEnableBotPasswords = false;
$wgHooks['LocalUserCreated'][] = static function ( $user ) {
	$user->setRealName( $_SERVER['HTTP_REMOTE_NAME'] ?? '' );
	$user->setEmail( $_SERVER['HTTP_REMOTE_EMAIL'] ?? '' );
	$user->confirmEmail();
};
$wgHooks['UserEffectiveGroups'][] = static function ( $user, &$groups ) use ( $wgPersonaGroups ) {
	$session = RequestContext::getMain()->getRequest()->getSession();
	if ( $session->getProvider() instanceof PersonaSessionProvider && $session->getUser()->getName() === $user->getName() )
		$groups = array_merge( $groups, array_intersect_key( $wgPersonaGroups, array_flip( explode( ',', $_SERVER['HTTP_REMOTE_GROUPS'] ?? '' ) ) ) );
};
$wgHooks['SpecialPageBeforeExecute'][] = static function ( $special ) {
	if ( !in_array( $special->getName(), [ 'Userlogin', 'CreateAccount', 'Userlogout' ] ) ) return true;
	$back = Title::newFromText( $special->getRequest()->getVal( 'returnto', '' ) ) ?? Title::newMainPage();
	$path = $back->getLocalURL( $special->getRequest()->getVal( 'returntoquery', '' ) );
	$special->getOutput()->redirect( '/persona/' . ( $special->getName() === 'Userlogout' ? 'logout' : 'login' ) . '?return=' . rawurlencode( $path ) );
	return false;
};
$wgHooks['SkinTemplateNavigation::Universal'][] = static function ( $skin, &$links ) {
	if ( $skin->getUser()->isRegistered() )
		$links['user-menu']['persona'] = [ 'text' => $skin->msg( 'pt-userlogout' )->text(), 'href' => '/persona/logout?return=' . rawurlencode( $skin->getTitle()->getLocalURL() ) ];
};

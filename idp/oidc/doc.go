// Package oidc is the OpenID Connect provider: an envelope that tells the company's apps who
// is signed in at an identity host. The issuer is https://<identity host>/persona; the flow is
// the authorization code flow with PKCE, and nothing else.
//
// People sign in on the page that there is, and their one session counts. Codes are behind a
// hash in the store and used once, and so are refresh tokens; what else has to be remembered is sealed and given to the
// browser or the app to keep. Apps are told by the back channel that a session has ended.
package oidc

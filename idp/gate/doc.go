// Package gate is the second envelope: it tells the website behind a host who is signed
// in, by fields of the request, and keeps what the configuration protects from everyone
// else.
//
// A [Gate] decides about each request to a website ([Gate.Admit]), and its routes lead
// people from the website to the sign-in at the identity host and back, and out again.
package gate

// Package account reads what an entry says of its account: the id that identifies it, the state of the account, and when
// its password was changed. What means what is in the [schema.Schema] of the directory; nothing is asked here.
package account

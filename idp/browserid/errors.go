package browserid

// Reason is why a key, certificate, assertion or bundle is refused, in the
// words that relying parties know from the historic verifiers wherever those
// had words for it. Reasons are constants, and compare with [errors.Is].
//
// Every error of this package describes only what the caller handed in; none
// carries a secret.
type Reason string

// Error returns the reason itself.
func (r Reason) Error() string { return string(r) }

const (
	// ErrExpired means that a certificate or an assertion is past its end.
	ErrExpired Reason = "expired"
	// ErrIssuedLater means that a certificate or an assertion comes from the future.
	ErrIssuedLater Reason = "issued later than verification date"
	// ErrAlgorithms means that the header names another algorithm than the key has.
	ErrAlgorithms Reason = "algorithms do not match"
	// ErrSignature means that the key did not make this signature.
	ErrSignature Reason = "invalid signature"
	// ErrMalformedSignature means that no key could have made this signature.
	ErrMalformedSignature Reason = "malformed signature"
	// ErrNoCertificates means that a bundle is an assertion without a certificate.
	ErrNoCertificates Reason = "no certificates provided"
	// ErrChained means that a bundle holds more than one certificate.
	ErrChained Reason = "certificate chaining is not yet allowed"
	// ErrNoAssertion means that a bundle ends after its certificate.
	ErrNoAssertion Reason = "no assertion provided"
	// ErrNoKeys means that there is no key to verify with.
	ErrNoKeys Reason = "no keys to verify with"
	// ErrNoEmail means that a certificate names no e-mail address.
	ErrNoEmail Reason = "the principal has no email"
	// ErrEmail means that a certificate names an e-mail address that is none.
	ErrEmail Reason = "the principal's email is malformed"
	// ErrCapitals means that a certificate names an e-mail address with capital letters where none may be.
	ErrCapitals Reason = "the principal's email has capital letters"
	// ErrLifetime means that a certificate or an assertion is valid longer than any may be.
	ErrLifetime Reason = "valid for too long"
	// ErrSeconds means that a time was written in seconds.
	ErrSeconds Reason = "looks like seconds, milliseconds are expected"
	// ErrNotSupported means that a key is of a kind that is not handled, or not here.
	ErrNotSupported Reason = "not supported"
	// ErrKeySize means that a key has another size than it must have.
	ErrKeySize Reason = "bad key size"
	// ErrWeakKey means that a key has the right size and is weak nevertheless.
	ErrWeakKey Reason = "weak key"
	// ErrAudienceScheme means that the assertion is meant for http instead of https, or the reverse.
	ErrAudienceScheme Reason = "audience mismatch: scheme mismatch"
	// ErrAudiencePort means that the assertion is meant for another port.
	ErrAudiencePort Reason = "audience mismatch: port mismatch"
	// ErrAudienceDomain means that the assertion is meant for another host.
	ErrAudienceDomain Reason = "audience mismatch: domain mismatch"
)

package browserid

// ParseAssertion reads an assertion without a certificate, which no verifier takes.
func ParseAssertion(s string) (*Assertion, error) { return parseAssertion([]byte(s)) }

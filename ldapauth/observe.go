package ldapauth

import (
	"time"

	"persona-sidecar/idp/identity"
)

// Operation is one kind of question to the directory, for measuring.
type Operation string

// The questions that are measured.
const (
	OpSearch Operation = "search" // one search, by the service account
	OpBind   Operation = "bind"   // one password
	OpPing   Operation = "ping"   // the look of Ping
)

// Outcome is how a question ended, for measuring.
type Outcome string

// How a question ends.
const (
	Answered    Outcome = "ok"
	Rejected    Outcome = "refused"     // a bind that lets nobody in
	Unavailable Outcome = "unavailable" // no answer from any server, or none that makes sense
)

// observe tells how long a question took, waiting for one of the bounded
// connections included.
func (d *Directory) observe(op Operation, began time.Time, outcome Outcome) {
	d.cfg.Observe(op, outcome, time.Since(began))
}

// answeredOr is the outcome of a question that has no refusal.
func answeredOr(err error) Outcome {
	if err != nil {
		return Unavailable
	}
	return Answered
}

func (v verdict) outcome(err error) Outcome {
	if err == nil && v.status != identity.OK {
		return Rejected
	}
	return answeredOr(err)
}

package certs

import (
	"sync"
	"sync/atomic"
	"time"
)

// Status is the state of one host name's certificate, for the readiness report
// and the metrics. It is meant for operators, not for visitors.
type Status struct {
	Name     string
	NotAfter time.Time // end of validity of the certificate in use; zero while there is none
	Problem  string    // what went wrong the last time; empty when all is well
	Retry    time.Time // when it is tried again; zero when nothing is planned, or when the renewal check decides
}

// nameState is what is remembered of one configured name.
type nameState struct {
	stored atomic.Bool // a usable certificate was stored at some time
	inUse  atomic.Bool // a certificate by ACME was loaded, and is served

	mu      sync.Mutex
	problem string
	retry   time.Time
	again   time.Time   // before which no renewal is ordered
	renewed func(error) // notes how the renewal under way ends; nil: none is
}

// putOff keeps renewals from being ordered before a time.
func (s *nameState) putOff(again time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.again = again
}

func (s *nameState) notBefore() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.again
}

func (s *nameState) beginRenewal(end func(error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.renewed = end
}

func (s *nameState) endRenewal(cause error) {
	s.mu.Lock()
	end := s.renewed
	s.renewed = nil
	s.mu.Unlock()
	if end != nil {
		end(cause)
	}
}

func (s *nameState) fail(problem string, retry time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.problem, s.retry = problem, retry
}

func (s *nameState) succeed() {
	s.stored.Store(true)
	s.inUse.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.problem, s.retry = "", time.Time{}
}

func (s *nameState) trouble() (problem string, retry time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.problem, s.retry
}

package certs

import (
	"sync"
	"sync/atomic"
	"time"
)

// nameState is what is remembered of one configured name.
type nameState struct {
	stored atomic.Bool // a usable certificate was stored at some time
	inUse  atomic.Bool // a certificate by ACME was loaded, and is served

	mu      sync.Mutex
	problem string
	retry   time.Time
	again   time.Time   // before which no renewal is ordered
	renewed func(error) // records how the renewal under way ends; nil: none is
}

// deferUntil keeps renewals from being ordered before a time.
func (s *nameState) deferUntil(again time.Time) {
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

package idp

import (
	"sync"

	"persona-sidecar/idp/identity"
)

// people remembers who the live sessions belong to, so that a page does not
// ask the directory again within the five minutes. Lost, it is asked again.
type people struct {
	mu        sync.Mutex
	bySession map[string]identity.Person
}

// maxPeople bounds the memory of people; beyond it any are forgotten.
const maxPeople = 4096

func newPeople() *people { return &people{bySession: map[string]identity.Person{}} }

func (p *people) get(session string) (identity.Person, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	person, ok := p.bySession[session]
	return person, ok
}

func (p *people) put(session string, person identity.Person) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for other := range p.bySession {
		if len(p.bySession) < maxPeople {
			break
		}
		delete(p.bySession, other)
	}
	p.bySession[session] = person
}

func (p *people) drop(session string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.bySession, session)
}

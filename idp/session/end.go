package session

// End is a session that has ended before its time, or all sessions of a person that there were.
type End struct {
	Directory, Person string
	Session           string // its id; "": all of them
}

func endOf(s Session) End { return End{Directory: s.Directory, Person: s.Person, Session: s.ID} }

// OnEnd has a function told of each session that ends before its time here; those that another
// process ends are told of there. It must return at once. A second call replaces the function.
func (m *Manager) OnEnd(tell func(End)) { m.ends.Store(&tell) }

func (m *Manager) tell(end End) {
	if tell := m.ends.Load(); tell != nil {
		(*tell)(end)
	}
}

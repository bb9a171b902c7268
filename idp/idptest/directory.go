package idptest

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"persona-sidecar/idp/browserid"
	"persona-sidecar/idp/identity"
)

// Account is an entry of a Directory.
type Account struct {
	identity.Person
	Password string
	// Status is what a right password, or a look-up, gives; 0 means identity.OK.
	Status identity.Status
	// Notice goes with a right password.
	Notice identity.Notice
	// NewPassword is what becomes of a new password, and in which words; "": it is taken.
	NewPassword identity.Outcome
	Words       string
}

// Directory is an identity.Directory of a few people, for forcing whatever a
// directory can do. Use NewDirectory. It is safe for concurrent use.
type Directory struct {
	name string

	mu       sync.Mutex
	accounts map[string]Account // by id
	down     error
	asked    int
}

// NewDirectory makes a directory; the Person.Directory of its people is name.
func NewDirectory(name string, accounts ...Account) *Directory {
	d := &Directory{name: name, accounts: map[string]Account{}}
	for _, account := range accounts {
		d.Put(account)
	}
	return d
}

// Put adds an account, or replaces that of the same id.
func (d *Directory) Put(account Account) {
	d.mu.Lock()
	defer d.mu.Unlock()
	account.Directory = d.name
	if account.Status == 0 {
		account.Status = identity.OK
	}
	d.accounts[account.ID] = account
}

// Change edits the account of an id, which must be there.
func (d *Directory) Change(id string, edit func(*Account)) {
	d.mu.Lock()
	account := d.accounts[id]
	d.mu.Unlock()
	edit(&account)
	d.Put(account)
}

// Remove takes an account away.
func (d *Directory) Remove(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.accounts, id)
}

// Fail makes every question end in err, until it is nil.
func (d *Directory) Fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.down = err
}

// Asked is how many questions were asked.
func (d *Directory) Asked() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked
}

// Authenticate implements identity.Directory. The login is Person.Login or one of
// the addresses, in any case.
func (d *Directory) Authenticate(ctx context.Context, login, password string, gate func(id string) bool) (identity.Result, error) {
	account, known, err := d.find(ctx, func(a Account) bool {
		is := func(address browserid.Address) bool { return strings.EqualFold(address.String(), login) }
		return strings.EqualFold(a.Login, login) || slices.ContainsFunc(a.Addresses, is)
	})
	switch {
	case err != nil:
		return identity.Result{}, err
	case !known:
		return identity.Result{Status: identity.Refused}, nil
	case gate != nil && !gate(account.ID):
		return identity.Result{Status: identity.Throttled, Person: refused(account)}, nil
	case password == "" || password != account.Password:
		return identity.Result{Status: identity.Refused, Person: refused(account)}, nil
	}
	return identity.Result{Status: account.Status, Person: account.Person, MayTell: true, Notice: account.Notice}, nil
}

// ChangePassword implements identity.PasswordChanger. An account that must change its password is in order after it.
func (d *Directory) ChangePassword(ctx context.Context, login, old, changed string, gate func(id string) bool) (identity.PasswordChange, error) {
	result, err := d.Authenticate(ctx, login, old, gate)
	change := identity.PasswordChange{Result: result}
	if err != nil || !result.MayTell || result.Status != identity.OK && result.Status != identity.MustChange {
		return change, err
	}
	d.Change(result.Person.ID, func(a *Account) {
		if change.Outcome, change.Words = a.NewPassword, a.Words; change.Outcome != identity.NotTried {
			return
		}
		change.Outcome, a.Status, a.Password, a.PasswordChanged = identity.Changed, identity.OK, changed, a.PasswordChanged.Add(time.Second)
		change.Status, change.Person = a.Status, a.Person
	})
	return change, nil
}

// Lookup implements identity.Directory.
func (d *Directory) Lookup(ctx context.Context, id string) (identity.Result, error) {
	account, known, err := d.find(ctx, func(a Account) bool { return a.ID == id })
	if err != nil {
		return identity.Result{}, err
	}
	if !known {
		return identity.Result{Status: identity.Gone}, nil
	}
	return identity.Result{Status: account.Status, Person: account.Person}, nil
}

func (d *Directory) find(ctx context.Context, is func(Account) bool) (account Account, known bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked++
	if err := ctx.Err(); err != nil {
		return Account{}, false, err
	}
	if d.down != nil {
		return Account{}, false, d.down
	}
	for _, candidate := range d.accounts {
		if is(candidate) {
			return candidate, true, nil
		}
	}
	return Account{}, false, nil
}

// Addresses parses addresses; a malformed one panics.
func Addresses(texts ...string) []browserid.Address {
	var list []browserid.Address
	for _, text := range texts {
		address, err := browserid.ParseAddress(text)
		if err != nil {
			panic(err)
		}
		list = append(list, address)
	}
	return list
}

// refused is all that is known of a person who was refused.
func refused(account Account) identity.Person {
	return identity.Person{Directory: account.Directory, ID: account.ID}
}

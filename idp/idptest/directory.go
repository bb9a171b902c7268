package idptest

import (
	"context"
	"strings"
	"sync"

	"persona-sidecar/idp"
)

// Account is an entry of a Directory.
type Account struct {
	idp.Person
	Password string
	// Status is what a right password, or a look-up, gives; 0 means idp.OK.
	Status idp.Status
}

// Directory is an idp.Directory of a few people, for forcing whatever a
// directory can do. Use NewDirectory. It is safe for concurrent use.
type Directory struct {
	name string
	// Gate stands between finding an entry and trying the password, as
	// Throttle.AdmitAccount does; nil admits everybody.
	Gate func(ctx context.Context, id string) bool

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
		account.Status = idp.OK
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

// Authenticate implements idp.Directory. The login is Person.Login or one of
// the addresses, in any case.
func (d *Directory) Authenticate(ctx context.Context, login, password string) (idp.Result, error) {
	account, known, err := d.find(ctx, func(a Account) bool {
		for _, name := range append([]string{a.Login}, a.Addresses...) {
			if strings.EqualFold(name, login) {
				return true
			}
		}
		return false
	})
	switch {
	case err != nil:
		return idp.Result{}, err
	case !known:
		return idp.Result{Status: idp.Refused}, nil
	case d.Gate != nil && !d.Gate(ctx, account.ID):
		return idp.Result{Status: idp.Throttled, Person: nobody(account)}, nil
	case password == "" || password != account.Password:
		return idp.Result{Status: idp.Refused, Person: nobody(account)}, nil
	}
	return idp.Result{Status: account.Status, Person: account.Person, MayTell: true}, nil
}

// Lookup implements idp.Directory.
func (d *Directory) Lookup(ctx context.Context, id string) (idp.Result, error) {
	account, known, err := d.find(ctx, func(a Account) bool { return a.ID == id })
	if err != nil {
		return idp.Result{}, err
	}
	if !known {
		return idp.Result{Status: idp.Gone}, nil
	}
	return idp.Result{Status: account.Status, Person: account.Person}, nil
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

// nobody is all that is known of a person who was refused.
func nobody(account Account) idp.Person {
	return idp.Person{Directory: account.Directory, ID: account.ID}
}

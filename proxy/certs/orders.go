package certs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3/acme"
	"github.com/rs/zerolog"
)

// ordersFolder is where the storage keeps the outcome of orders.
const ordersFolder = "persona/orders"

// orders keeps, in the storage, a record of the orders that failed, so that a
// program that is started again and again asks the ACME server no more often
// than one that runs on: Let's Encrypt lets five validations of a name fail in
// an hour, then refuses it.
type orders struct {
	storage certmagic.Storage
	folder  string // of one ACME server: staging's failures do not hold up the real one
	now     func() time.Time
	log     zerolog.Logger
}

// failedOrders are the orders for one name that failed since the last
// certificate. The zero value: none did.
type failedOrders struct {
	Count int       `json:"count"` // in a row
	Last  time.Time `json:"last"`  // when the last one began, or failed
	// Cause is why the last one failed; empty when it is under way, or was when
	// the program was killed.
	Cause string `json:"cause,omitempty"`
}

// key is where the orders for a name are kept.
func (o orders) key(name string) string {
	return path.Join(o.folder, certmagic.StorageKeys.Safe(name)+".json")
}

// load returns the record of a name. One that cannot be read counts as none: a
// record can only delay an order.
func (o orders) load(ctx context.Context, name string) failedOrders {
	var failed failedOrders
	data, err := o.storage.Load(ctx, o.key(name))
	if err == nil {
		err = json.Unmarshal(data, &failed)
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return failed
	}
	if ctx.Err() == nil {
		o.log.Warn().Err(err).Str("domain", name).Str("record", o.key(name)).
			Msg("the record of the last order for a certificate cannot be read; it is ordered as if for the first time")
	}
	return failedOrders{}
}

// cause returns why the last order failed, in words.
func (f failedOrders) cause() string {
	if f.Cause == "" {
		return "the program ended in the middle of an order"
	}
	return f.Cause
}

// begin records an order as failed before it is made, because the program may be
// killed in the middle. Where nothing can be recorded nothing is ordered: the
// certificate could not be stored either. The returned function records how the
// order ended; nil is success.
func (o orders) begin(ctx context.Context, name string) (end func(error), err error) {
	before := o.load(ctx, name)
	begun := failedOrders{Count: before.Count + 1, Last: o.now()}
	if err := o.store(ctx, name, begun); err != nil {
		return nil, fmt.Errorf("recording an order before it is made: %w", err)
	}
	stopped := ctx
	ctx = context.WithoutCancel(ctx) // the end of an order is recorded also when the program stops
	return func(cause error) {
		after := before
		switch {
		case cause == nil:
			after = failedOrders{}
		case stopped.Err() == nil && countsAgainstLimit(cause):
			after = failedOrders{Count: weight(begun.Count, cause), Last: o.now(), Cause: cause.Error()}
		}
		if err := o.store(ctx, name, after); err != nil {
			o.log.Warn().Err(err).Str("domain", name).Msg("how an order for a certificate ended was not recorded; a start in the next minutes may wait before it asks again")
		}
	}, nil
}

func (o orders) store(ctx context.Context, name string, failed failedOrders) error {
	if failed == (failedOrders{}) {
		return o.storage.Delete(ctx, o.key(name))
	}
	data, err := json.Marshal(failed)
	if err != nil {
		return err
	}
	return o.storage.Store(ctx, o.key(name), data)
}

// countsAgainstLimit reports whether an order that failed may count against the limits of
// the ACME server: not if the server never answered, nor if the cause lies in our
// own storage.
func countsAgainstLimit(err error) bool {
	if _, answered := errors.AsType[acme.Problem](err); answered {
		return true
	}
	_, unanswered := errors.AsType[*url.Error](err)
	_, stored := errors.AsType[*storedError](err)
	return !unanswered && !stored
}

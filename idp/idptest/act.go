package idptest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// What a person or a script does may end the page that it is done in: the
// browser then drops the answer to the command, or answers with an error. The
// actions of this file take that as an answer; a test goes on with a condition
// that the next page has to meet, and uses Leave where the old page might meet
// it, too.

// Visible waits until the first element that a CSS selector matches is visible.
func Visible(selector string) chromedp.Action[chromedp.Void] {
	return answered(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := inElement[bool](ctx, t, selector, `return true;`)
		return err
	}))
}

// Click clicks on the first element that a CSS selector matches, once it is
// visible and the page has loaded: before that its scripts may not listen yet.
func Click(selector string) chromedp.Action[chromedp.Void] {
	return answered(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		at, err := inElement[[]float64](ctx, t, selector, `
			if (document.readyState !== "complete") return null;
			element.scrollIntoView({block: "center", behavior: "instant"});
			const box = element.getBoundingClientRect();
			return [box.x + box.width / 2, box.y + box.height / 2];`)
		if err != nil {
			return err
		}
		_, err = chromedp.MouseClickXY(at[0], at[1])(ctx, t)
		return err
	}))
}

// Clear empties the first field that a CSS selector matches, once it is visible.
func Clear(selector string) chromedp.Action[chromedp.Void] {
	return answered(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := inElement[bool](ctx, t, selector, `
			element.value = "";
			element.dispatchEvent(new Event("input", {bubbles: true}));
			return true;`)
		return err
	}))
}

// inElement waits until the first element that a CSS selector matches is visible, runs a script for it,
// and returns what that returns. It stands for what chromedp (v0.23) does by the number of a node, which
// a page that is still loading takes away in between.
func inElement[T any](ctx context.Context, t *chromedp.Target, selector, script string) (T, error) {
	script = `(() => {
		const element = document.querySelector(` + strconv.Quote(selector) + `);
		if (!element?.checkVisibility()) return null;
		` + script + `
	})()`
	tick := time.NewTicker(pollPeriod)
	defer tick.Stop()
	for {
		got, err := chromedp.Evaluate[*T](script)(ctx, t)
		switch {
		case err == nil && got != nil:
			return *got, nil
		case err != nil && (errors.Is(err, chromedp.ErrTargetDetached) || !unanswered(err)):
			return *new(T), fmt.Errorf("looking for %s: %w", selector, err)
		}
		select {
		case <-ctx.Done():
			return *new(T), fmt.Errorf("looking for %s: %w", selector, ctx.Err())
		case <-tick.C:
		}
	}
}

// Press presses keys, in the element that has the focus.
func Press(keys string) chromedp.Action[chromedp.Void] {
	return answered(chromedp.KeyEvent(keys))
}

// Script runs a script in the page. An exception is an error.
func Script(script string) chromedp.Action[chromedp.Void] {
	return answered(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := chromedp.Evaluate[chromedp.Void](script+"\n;({})")(ctx, t)
		return err
	}))
}

// Type focuses the first element that a CSS selector matches, once it is
// visible, and types a text.
func Type(selector, text string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		if _, err := inElement[bool](ctx, t, selector, `element.focus(); return true;`); err != nil {
			return err
		}
		_, err := chromedp.KeyEvent(text)(ctx, t)
		return err
	})
}

// Leave runs an action of this file, and returns when the page in which it
// began is gone: the tab shows another document, or is closed.
func Leave(act chromedp.Action[chromedp.Void]) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		mark := strconv.Quote(rand.Text()) // another one each time: going back may bring a marked page again
		if _, err := chromedp.Evaluate[bool](`window.leaving = `+mark+`; true`)(ctx, t); err != nil {
			return fmt.Errorf("marking the page to leave: %w", err)
		}
		if _, err := act(ctx, t); err != nil {
			return err
		}
		tick := time.NewTicker(pollPeriod)
		defer tick.Stop()
		for {
			switch here, err := chromedp.Evaluate[bool](`window.leaving === `+mark)(ctx, t); {
			case errors.Is(err, chromedp.ErrTargetDetached):
				return nil
			case err != nil && !unanswered(err):
				return fmt.Errorf("waiting until the page is left: %w", err)
			case err == nil && !here:
				return nil
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("the page was not left: %w", ctx.Err())
			case <-tick.C:
			}
		}
	})
}

const pollPeriod = 20 * time.Millisecond

// answered makes an action that succeeds, too, when the page went away before
// it answered the last command.
func answered(act chromedp.Action[chromedp.Void]) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		if _, err := act(ctx, t); err != nil && !unanswered(err) {
			return err
		}
		return nil
	})
}

// unanswered reports whether a command has no answer because its page is gone.
func unanswered(err error) bool {
	if errors.Is(err, chromedp.ErrTargetDetached) {
		return true
	}
	var answer *cdproto.Error
	return errors.As(err, &answer) && slices.ContainsFunc([]string{
		"Inspected target navigated or closed", "Execution context was destroyed", "Cannot find default execution context",
	}, func(reason string) bool { return strings.Contains(answer.Message, reason) })
}

// Popup does what opens a window, and returns the context of that window.
func Popup(ctx context.Context, t testing.TB, open func()) context.Context {
	t.Helper()
	before, err := chromedp.Targets(ctx)
	if err != nil {
		t.Fatalf("listing the windows: %v", err)
	}
	// A window that was there before is reported again when it changes.
	opened := chromedp.WaitNewTarget(ctx, func(info *target.Info) bool {
		known := slices.ContainsFunc(before, func(other *target.Info) bool { return other.TargetID == info.TargetID })
		return info.Type == "page" && !known
	})
	open()
	select {
	case id := <-opened:
		ctx, cancel := chromedp.NewContext(ctx, chromedp.WithTargetID(id), chromedp.WithDetachOnCancel())
		t.Cleanup(cancel)
		return ctx
	case <-time.After(Patience):
		t.Fatal("no window was opened")
		return nil
	}
}

// Patience bounds every wait of a test for something that happens soon.
const Patience = 20 * time.Second

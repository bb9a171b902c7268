package setup

import (
	"context"
	"fmt"
	"strconv"

	"persona-sidecar/cmd/internal/config"
)

// none is the answer that leaves out what is optional.
const none = "none"

// interview asks at a terminal for what the flags leave open, one question at a
// time. It writes nothing.
type interview struct {
	Env
	*answers
}

// run asks. Flags that are wrong by themselves are refused before the first
// question, so that no answer is given for nothing.
func (i *interview) run(ctx context.Context) error {
	if err := i.contradiction(); err != nil {
		return err
	}
	var faults config.Faults
	for _, q := range i.all {
		if !q.given || q.text == "" {
			continue
		}
		if q.flag == "out" && exists(q.text) {
			return refuseExisting(q.text)
		}
		faults = append(faults, q.faults(q.text)...)
	}
	if len(faults) > 0 {
		return i.refuseFaults(faults)
	}
	fmt.Fprint(i.Screen, "An empty answer takes what stands in brackets. Nothing is written before the last answer.\n")
	for _, ask := range []func(context.Context) error{
		i.askDomain, i.askWebsite, i.askCertificates, i.askDirectory, i.askFiles,
	} {
		if err := ask(ctx); err != nil {
			return err
		}
	}
	fmt.Fprintln(i.Screen)
	return nil
}

// ask asks for an answer until it is one that the configuration takes. It does
// nothing when the flag was given. offer is what an empty line means, "" where
// nothing can be guessed.
func (i *interview) ask(ctx context.Context, flag, offer string) error {
	return i.askFor(ctx, *i.of(flag), offer, false)
}

// askOptional is ask for what may be left out.
func (i *interview) askOptional(ctx context.Context, flag, offer string) error {
	return i.askFor(ctx, *i.of(flag), offer, true)
}

// askFor is ask in the words of q.
func (i *interview) askFor(ctx context.Context, q answer, offer string, optional bool) error {
	if q.given {
		return nil
	}
	i.set(q.flag, "")
	i.show(q.title, q.reason)
	for {
		text, err := i.Terminal.Ask(ctx, prompt(offer))
		if err != nil {
			return err
		}
		if text == "" {
			text = offer
		}
		if optional && text == none {
			return nil
		}
		problem := "an answer is needed here"
		if text != "" {
			problem = i.problem(i.of(q.flag), text)
		}
		if problem == "" {
			i.set(q.flag, text)
			return nil
		}
		i.refuse(problem)
	}
}

// choice is one of several answers.
type choice struct{ key, text string }

// choose asks for one of several answers, by its number, and returns its key. The one with the key that is
// offered is what an empty line means; "" offers the first.
func (i *interview) choose(ctx context.Context, title, reason string, choices []choice, offered string) (string, error) {
	i.show(title, reason)
	offer := 1
	for n, c := range choices {
		fmt.Fprintf(i.Screen, "   %2d  %s\n", n+1, c.text)
		if c.key == offered {
			offer = n + 1
		}
	}
	for {
		text, err := i.Terminal.Ask(ctx, prompt(strconv.Itoa(offer)))
		if err != nil {
			return "", err
		}
		if text == "" {
			text = strconv.Itoa(offer)
		}
		if n, err := strconv.Atoi(text); err == nil && n >= 1 && n <= len(choices) {
			return choices[n-1].key, nil
		}
		i.refuse(fmt.Sprintf("%q is not one of the answers (write a number from 1 to %d)", text, len(choices)))
	}
}

func (i *interview) show(title, reason string) {
	fmt.Fprintf(i.Screen, "\n%s\n  %s\n", title, reason)
}

func (i *interview) refuse(problem string) {
	fmt.Fprintf(i.Screen, "  Invalid answer: %s\n", problem)
}

func prompt(offer string) string {
	if offer == "" {
		return "  > "
	}
	return "  [" + offer + "] > "
}

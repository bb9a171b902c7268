// Package setup writes a commented configuration that starts as it is, from
// flags and from answers at a terminal. It overwrites nothing.
package setup

import (
	"context"
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
)

// Terminal asks the person who runs setup. Its errors end setup.
type Terminal interface {
	// Ask shows a prompt and returns the line that is typed, without blanks
	// around it.
	Ask(ctx context.Context, prompt string) (string, error)
	// AskHidden is Ask for a secret: the line is not shown and keeps its blanks.
	AskHidden(ctx context.Context, prompt string) (string, error)
}

// Env is where setup is called from.
type Env struct {
	Terminal Terminal  // nil where no person can be asked
	Screen   io.Writer // for the questions
	Out      io.Writer // for what was written, and what to do next
	Root     bool      // setup runs as root, so the files may need another owner
}

// Setup is one call of the command.
type Setup struct{ answers *answers }

// New declares the flags of setup: each answer is one.
func New(flags *flag.FlagSet) *Setup {
	a := &answers{all: slices.Concat(siteAnswers(), directoryAnswers(), serverAnswers())}
	for _, q := range a.all {
		if q.kind != toggle {
			flags.StringVar(&q.text, q.flag, q.text, q.usage)
			for _, flag := range q.also {
				flags.StringVar(&q.text, flag, q.text, "the same as -"+q.flag)
			}
			continue
		}
		flags.BoolFunc(q.flag, q.usage, func(text string) error {
			on, err := strconv.ParseBool(text)
			if q.text = ""; on {
				q.text = "true"
			}
			return err
		})
	}
	return &Setup{a}
}

// Run writes the configuration, after flags have been parsed. At a terminal it
// asks what the flags leave open. The error is a [Refusal] for what other flags
// or answers correct; nothing has been written then.
func (s *Setup) Run(ctx context.Context, flags *flag.FlagSet, env Env) error {
	a := s.answers
	flags.Visit(func(f *flag.Flag) { a.of(f.Name).given = true })
	if err := a.adoptWebsite(); err != nil {
		return err
	}
	if env.Terminal != nil {
		if err := (&interview{env, a}).run(ctx); err != nil {
			return err
		}
	}
	if err := a.complete(); err != nil {
		return err
	}
	text, err := a.render()
	if err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	c, err := a.write(text)
	if err != nil {
		return err
	}
	_, err = io.WriteString(env.Out, a.explain(c, env.Root))
	return err
}

// Refusal is what is wrong with flags or answers, or with the place to write to.
type Refusal struct {
	problem, hint string
	detail        []string
}

func refuse(problem, hint string) error { return &Refusal{problem: problem, hint: hint} }

// Error returns what is wrong.
func (r *Refusal) Error() string { return r.problem }

// Hint returns what to do about it.
func (r *Refusal) Hint() string { return r.hint }

// Detail returns one line for each fault of a configuration with several.
func (r *Refusal) Detail() []string { return r.detail }

// writeError is a file or folder that cannot be written.
type writeError struct{ cause error }

func (e *writeError) Error() string { return "writing the configuration: " + e.cause.Error() }

func (e *writeError) Unwrap() error { return e.cause }

func (e *writeError) Hint() string {
	return "write elsewhere with -out, or run setup as a user who may write there"
}

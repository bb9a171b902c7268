package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"persona-sidecar/cmd/internal/config"
)

// failure is an error with what to do about it and how to exit.
type failure struct {
	problem string // what was being done or is wrong; may be "" with a cause
	cause   error  // may be nil
	hint    string
	detail  string // further lines
	code    int
}

func (f *failure) Error() string {
	text := f.problem
	if f.cause != nil {
		text = strings.TrimPrefix(text+": "+f.cause.Error(), ": ")
	}
	if f.hint != "" {
		text += " (hint: " + f.hint + ")"
	}
	if f.detail != "" {
		text += "\n" + f.detail
	}
	return text
}

func (f *failure) Unwrap() error { return f.cause }

// wrong returns an error of usage or configuration.
func wrong(problem, hint string) error {
	return &failure{problem: problem, hint: hint, code: exitUsage}
}

// exitCode returns the code for an error. Whatever is not known to be a mistake
// of the caller is the world's.
func exitCode(err error) int {
	if f := (*failure)(nil); errors.As(err, &f) {
		return f.code
	}
	return exitWorld
}

// hinter is an error that carries what the operator can do about it.
type hinter interface {
	error
	Hint() string
}

// report prints an error as "persona: what (hint: what to do)", and below it its
// details, such as the faults of a configuration, one a line.
func report(w io.Writer, err error) {
	hint := ""
	if hinted, ok := errors.AsType[hinter](err); ok {
		hint = " (hint: " + hinted.Hint() + ")"
	}
	fmt.Fprintf(w, "persona: %v%s\n", err, hint)
}

// configurationFailure puts an error of config.Load into the words of the
// command line.
func configurationFailure(path string, err error) error {
	var faults config.Faults
	switch {
	case errors.As(err, &faults):
		return &failure{
			problem: "the configuration has " + counted(len(faults), "fault"),
			hint:    "mend what is listed; nothing was started",
			detail:  faults.Error(), code: exitUsage,
		}
	case errors.Is(err, fs.ErrNotExist):
		return &failure{problem: "no file " + path, hint: fmt.Sprintf("\"persona setup -out %s\" writes one; its flags: persona help setup", path), code: exitUsage}
	case errors.Is(err, fs.ErrPermission):
		return &failure{cause: err, hint: "make the file readable for the user that runs persona", code: exitUsage}
	case errors.Is(err, config.ErrNone):
		return &failure{cause: err, hint: `"persona setup" writes one; its flags: persona help setup`, code: exitUsage}
	}
	return &failure{cause: err, hint: "give the path of a file with -config", code: exitUsage}
}

// counted returns "1 fault" or "3 faults".
func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
